"""What a trip earns, and what its merchant pays: a delivery's facts and one version of a rate card, line by line.

Every line is one step of arithmetic: an amount times a fraction, rounded half to even to whole paise. Who doubts a line
can do it again with nothing but what it states.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from libs.money.amount import total
from libs.money.rounding import BASIS_POINTS, share
from services.reconciliation.ledger.facts import Trip
from services.reconciliation.ledger.rates import RateTerms

METRES_PER_KM = GRAMS_PER_KG = 1_000
SECONDS_PER_MIN = 60


class LineKind(StrEnum):
    """What a line is for."""

    BASE = "base"
    DISTANCE = "distance"
    WEIGHT = "weight"
    WAIT = "wait"
    SURGE = "surge"
    PEAK = "peak"
    ON_TIME_BONUS = "on_time_bonus"
    LATE_PENALTY = "late_penalty"
    TDS = "tds"
    MERCHANT_FEE = "merchant_fee"
    GST = "gst"
    CASH_COLLECTED = "cash_collected"


_K = LineKind
# What the merchant's fee is worked out from, and what the partner earns.
CARRIAGE = frozenset({_K.BASE, _K.DISTANCE, _K.WEIGHT, _K.WAIT, _K.SURGE, _K.PEAK})
EARNED = CARRIAGE | {_K.ON_TIME_BONUS, _K.LATE_PENALTY}


@dataclass(frozen=True, slots=True)
class Line:
    """One step: `of_paise` times `numerator` / `denominator` is `paise`. `because` names what the figures are."""

    kind: LineKind
    of_paise: int
    numerator: int
    denominator: int
    because: str

    @property
    def paise(self) -> int:
        """The result, half to even."""
        return share(self.of_paise, self.numerator, self.denominator)


@dataclass(frozen=True, slots=True)
class Earnings:
    """The lines of one trip that are not zero, in the order in which they build on one another."""

    lines: tuple[Line, ...]

    def of(self, *kinds: LineKind) -> int:
        """Return the paise of all lines of some kinds."""
        return total(line.paise for line in self.lines if line.kind in kinds)

    @property
    def carriage_paise(self) -> int:
        """What the carriage is worth, before what only the partner is given or loses."""
        return self.of(*CARRIAGE)

    @property
    def earned_paise(self) -> int:
        """What the partner earns before tax is withheld; never below zero."""
        return self.of(*EARNED)

    @property
    def payable_paise(self) -> int:
        """What is owed for the trip to the partner, or to the network that lends it."""
        return self.earned_paise - self.of(LineKind.TDS)


def earnings_of(trip: Trip, terms: RateTerms) -> Earnings:
    """Return what a trip earns by the terms of one version."""
    lines = tuple(line for line in _carriage(trip, terms) if line.paise)
    carriage_paise = total(line.paise for line in lines)
    lines += tuple(line for line in _incentives(trip, terms, carriage_paise) if line.paise)
    earned_paise = total(line.paise for line in lines)
    lines += tuple(line for line in _charges(trip, terms, carriage_paise, earned_paise) if line.paise)
    return Earnings(lines)


def _carriage(trip: Trip, terms: RateTerms) -> Iterator[Line]:
    paid_wait_s = min(max(0, trip.waited_s - terms.wait_free_s), terms.wait_paid_s_max)
    plain = (
        Line(_K.BASE, terms.base_paise, 1, 1, "for each delivery"),
        Line(_K.DISTANCE, terms.per_km_paise, trip.distance_m, METRES_PER_KM, "a km, for the metres to the drop"),
        Line(_K.WEIGHT, terms.per_kg_paise, trip.weight_g, GRAMS_PER_KG, "a kg, for the grams of the parcel"),
    )
    yield from plain
    yield Line(
        _K.WAIT,
        terms.wait_paise_per_min,
        paid_wait_s,
        SECONDS_PER_MIN,
        f"a minute, for the seconds waited at the pickup: {trip.waited_s} less {terms.wait_free_s} free, "
        f"{terms.wait_paid_s_max} at most",
    )
    plain_paise = total(line.paise for line in plain)
    yield Line(
        _K.SURGE,
        plain_paise,
        terms.surge_bp(trip.delivered_at),
        BASIS_POINTS,
        "of base, distance and weight, by the surge when it was handed over",
    )
    yield Line(_K.PEAK, terms.peak_bonus_paise(trip.delivered_at), 1, 1, "for a hand-over in the peak window")


def _incentives(trip: Trip, terms: RateTerms, carriage_paise: int) -> Iterator[Line]:
    if not trip.late_s:
        yield Line(_K.ON_TIME_BONUS, terms.on_time_bonus_paise, 1, 1, "for a hand-over within the drop window")
    elif trip.late_s > terms.late_grace_s:
        # A delivery may end up worth nothing, and never costs its partner anything.
        penalty_paise = min(terms.late_penalty_paise, carriage_paise)
        because = (
            f"for a hand-over {trip.late_s} s late, of which {terms.late_grace_s} are forgiven; no more than the rest"
        )
        yield Line(_K.LATE_PENALTY, -penalty_paise, 1, 1, because)


def _charges(trip: Trip, terms: RateTerms, carriage_paise: int, earned_paise: int) -> Iterator[Line]:
    yield Line(_K.TDS, earned_paise, terms.tds_bp, BASIS_POINTS, "of what was earned, withheld as tax")
    fee = Line(
        _K.MERCHANT_FEE,
        carriage_paise,
        BASIS_POINTS + terms.merchant_markup_bp,
        BASIS_POINTS,
        "of the carriage, with the markup: the merchant's fee",
    )
    yield fee
    yield Line(_K.GST, fee.paise, terms.gst_bp, BASIS_POINTS, "of the fee, as goods and services tax")
    yield Line(_K.CASH_COLLECTED, trip.cash_paise, 1, 1, "collected at the door for the merchant")

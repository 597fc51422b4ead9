"""Rate cards: what a delivery is worth, by city, vehicle and network, in versions that never change.

A version applies from its moment until the next one's. It is chosen by when a delivery was handed over, so the same
delivery has the same version whenever it is looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from uuid import UUID

from libs.money.rounding import BASIS_POINTS

# The largest amount that a term may be, and the largest share: 10 million rupees, and tenfold.
# A tax is never more than all.
TERM_PAISE_MAX = 1_000_000_000
SHARE_BP_MAX = 100_000
MINUTES_PER_DAY = 1_440
UTC_OFFSET_MIN_MAX = 14 * 60


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Whom a rate card is for. `network_code` is empty for the company's own partners."""

    city_code: str
    vehicle: str
    network_code: str = ""


@dataclass(frozen=True, slots=True)
class PeakWindow:
    """A span of a weekday's local time, end exclusive, and what each delivery in it earns besides."""

    # 0 is Monday.
    weekday: int
    start_min: int
    end_min: int
    bonus_paise: int


@dataclass(frozen=True, slots=True)
class SurgePeriod:
    """A span of time, end exclusive, in which carriage earns more by `extra_bp` ten-thousandths."""

    starts_at: datetime
    ends_at: datetime
    extra_bp: int


@dataclass(frozen=True, slots=True)
class RateTerms:
    """The figures of one version, all of them integers.

    `merchant_markup_bp` is what the merchant's fee is above the carriage; `gst_bp` is taken of the fee and `tds_bp` of
    what the partner earns. `utc_offset_min` is the city's, for its peak windows.
    """

    base_paise: int
    per_km_paise: int
    per_kg_paise: int = 0
    wait_paise_per_min: int = 0
    wait_free_s: int = 0
    wait_paid_s_max: int = 0
    on_time_bonus_paise: int = 0
    late_grace_s: int = 0
    late_penalty_paise: int = 0
    guarantee_paise_per_h: int = 0
    merchant_markup_bp: int = 0
    gst_bp: int = 0
    tds_bp: int = 0
    utc_offset_min: int = 330
    peaks: tuple[PeakWindow, ...] = ()
    surges: tuple[SurgePeriod, ...] = ()

    def problems(self) -> list[tuple[str, str]]:
        """Return every (term, what is wrong with it)."""
        found = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not _least(field.name) <= value <= _most(field.name):
                found.append((field.name, f"must lie between {_least(field.name)} and {_most(field.name)}"))
        for place, peak in enumerate(self.peaks):
            if not (0 <= peak.weekday <= 6 and 0 <= peak.start_min < peak.end_min <= MINUTES_PER_DAY):
                found.append((f"peaks[{place}]", "must be on a weekday 0 to 6 and end after its start on the same day"))
            if not 0 <= peak.bonus_paise <= TERM_PAISE_MAX:
                found.append((f"peaks[{place}].bonus_paise", f"must lie between 0 and {TERM_PAISE_MAX}"))
        for place, surge in enumerate(self.surges):
            if surge.ends_at <= surge.starts_at:
                found.append((f"surges[{place}]", "must end after its start"))
            if not 0 <= surge.extra_bp <= SHARE_BP_MAX:
                found.append((f"surges[{place}].extra_bp", f"must lie between 0 and {SHARE_BP_MAX}"))
        return found

    def peak_bonus_paise(self, at: datetime) -> int:
        """Return the highest bonus of the peak windows that `at` lies in, or 0."""
        local = at + timedelta(minutes=self.utc_offset_min)
        minute = local.hour * 60 + local.minute
        reached = (p for p in self.peaks if p.weekday == local.weekday() and p.start_min <= minute < p.end_min)
        return max((peak.bonus_paise for peak in reached), default=0)

    def surge_bp(self, at: datetime) -> int:
        """Return the highest share of the surge periods that `at` lies in, or 0."""
        return max((s.extra_bp for s in self.surges if s.starts_at <= at < s.ends_at), default=0)


@dataclass(frozen=True, slots=True)
class RateCard:
    """One version of the rate card of a scope. Versions count from 1."""

    id: UUID
    scope: Scope
    version: int
    effective_from: datetime
    terms: RateTerms
    created_at: datetime
    created_by: str


def in_force(cards: Iterable[RateCard], scope: Scope, at: datetime) -> RateCard | None:
    """Return the version of `scope` that applies at a moment, or None before the first."""
    begun = [card for card in cards if card.scope == scope and card.effective_from <= at]
    return max(begun, key=lambda card: card.effective_from, default=None)


def _least(term: str) -> int:
    return -UTC_OFFSET_MIN_MAX if term == "utc_offset_min" else 0


def _most(term: str) -> int:
    if term == "utc_offset_min":
        return UTC_OFFSET_MIN_MAX
    if term.endswith(("_s", "_s_max")):
        return 7 * 86_400
    if term in {"gst_bp", "tds_bp"}:
        return BASIS_POINTS
    return SHARE_BP_MAX if term.endswith("_bp") else TERM_PAISE_MAX

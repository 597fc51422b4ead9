"""The ledger's values for tests: a trip in Bengaluru, terms with every line, and the changes of a delivery."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from services.reconciliation.ledger.facts import Change, Order, PartnerVersion, Trip
from services.reconciliation.ledger.rates import PeakWindow, RateCard, RateTerms, Scope, SurgePeriod

NAMES = UUID("0190a000-0000-7000-8000-000000000000")
# A Wednesday, 19:30 in India.
EVENING = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
MERCHANT, PARTNER, DELIVERY = (uuid5(NAMES, name) for name in ("merchant", "partner", "delivery"))
SCOPE = Scope("BLR", "motorcycle")
TERMS = RateTerms(
    base_paise=2_500,
    per_km_paise=801,
    per_kg_paise=333,
    wait_paise_per_min=125,
    wait_free_s=600,
    wait_paid_s_max=1_800,
    on_time_bonus_paise=500,
    late_grace_s=300,
    late_penalty_paise=1_000,
    guarantee_paise_per_h=12_000,
    merchant_markup_bp=2_500,
    gst_bp=1_800,
    tds_bp=100,
    peaks=(PeakWindow(2, 18 * 60, 22 * 60, 700), PeakWindow(2, 19 * 60, 20 * 60, 900)),
    surges=(SurgePeriod(EVENING - timedelta(hours=1), EVENING + timedelta(hours=1), 1_500),),
)
ORDER = Order(MERCHANT, "BLR", 4_211, 1_250, 49_900, EVENING - timedelta(minutes=40), EVENING + timedelta(minutes=10))
STORY = ("pending", "offered", "assigned", "picked_up", "out_for_delivery", "delivered")
_MINUTES_BEFORE = {"pending": 60, "offered": 50, "assigned": 45, "picked_up": 20, "out_for_delivery": 19}


def trip(**changes: Any) -> Trip:
    """A trip that waited 25 minutes and was handed over in time, in the evening's peak and surge."""
    made = Trip(
        DELIVERY, MERCHANT, PARTNER, "BLR", 4_211, 1_250, 49_900, 1_500, 0, EVENING, EVENING, event_ids("", 1, 3, 4, 6)
    )
    return replace(made, **changes)


def event_ids(name: str, *sequences: int) -> tuple[UUID, ...]:
    """The ids of a delivery's events."""
    return tuple(uuid5(NAMES, f"event {name} {sequence}") for sequence in sequences)


def changes_of(
    states: tuple[str, ...] = STORY, delivery_id: UUID = DELIVERY, partner_id: UUID = PARTNER, order: Order = ORDER
) -> list[Change]:
    """The changes of a delivery that goes through `states`."""
    return [
        Change(
            delivery_id,
            sequence,
            event_ids("" if delivery_id == DELIVERY else str(delivery_id), sequence)[0],
            state,
            EVENING - timedelta(minutes=_MINUTES_BEFORE.get(state, 0)),
            partner_id if state in {"offered", "assigned"} else None,
            order if sequence == 1 else None,
        )
        for sequence, state in enumerate(states, 1)
    ]


def version_of(partner_id: UUID = PARTNER, **changes: Any) -> PartnerVersion:
    """A partner on a motorcycle, of the company's own, since a day."""
    made = PartnerVersion(partner_id, 1, uuid5(NAMES, f"{partner_id} 1"), "motorcycle", "", EVENING - timedelta(days=1))
    return replace(made, **changes)


def card(terms: RateTerms = TERMS, **changes: Any) -> RateCard:
    """The first version for motorcycles in Bengaluru, of a week ago."""
    since = EVENING - timedelta(days=7)
    return replace(RateCard(uuid5(NAMES, "card"), SCOPE, 1, since, terms, since, "test"), **changes)

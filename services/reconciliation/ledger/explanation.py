"""Why an entry has the amounts that it has: the arithmetic done again, from what the entry names and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.reconciliation.ledger.booking import Pay, pay
from services.reconciliation.ledger.earnings import EARNED, Line, LineKind
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.facts import Change, PartnerVersion, trip_of
from services.reconciliation.ledger.postings import Posting, corrected_postings
from services.reconciliation.ledger.rates import RateCard

# What is a partner's own: what it earned, what was withheld, and the cash in its hands.
PARTNER_LINES = EARNED | {LineKind.TDS, LineKind.CASH_COLLECTED}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, the version that they go by, and whether they give exactly what is booked.

    `before` is what was booked already when an entry corrected that: the steps come to both together.
    """

    card: RateCard
    lines: tuple[Line, ...]
    before: tuple[Posting, ...]
    agrees: bool


def explain(
    entry: Entry,
    before: tuple[Posting, ...],
    changes: Sequence[Change],
    partner: PartnerVersion | None,
    card: RateCard,
) -> Explanation | None:
    """Return the arithmetic behind an entry of earnings, or its correction, before which `before` was booked.

    None when an event that it names is not kept any more.
    """
    trip = trip_of([change for change in changes if change.event_id in entry.event_ids])
    if trip is None:
        return None
    again = pay(trip, partner, lambda *_: card)
    if not isinstance(again, Pay):
        return None
    found = corrected_postings(before, again.postings)
    return Explanation(card, again.earnings.lines, before, sorted(found, key=str) == sorted(entry.postings, key=str))

"""Entries, balances and explanations as their callers see them."""

from collections.abc import Iterable

from lastmile.reconciliation.v1 import ledger_pb2

from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.earnings import Line
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.explanation import Explanation
from services.reconciliation.ledger.postings import Posting
from services.reconciliation.timestamps import timestamp

_KINDS = {
    EntryKind.EARNINGS: ledger_pb2.ENTRY_KIND_EARNINGS,
    EntryKind.REVERSAL: ledger_pb2.ENTRY_KIND_REVERSAL,
    EntryKind.CORRECTION: ledger_pb2.ENTRY_KIND_CORRECTION,
}


def entry_to(entry: Entry, postings: Iterable[Posting], explanation: ledger_pb2.Explanation | None) -> ledger_pb2.Entry:
    """Return an entry with those of its postings that the caller may see."""
    return ledger_pb2.Entry(
        id=str(entry.id),
        kind=_KINDS[entry.kind],
        delivery_id=str(entry.delivery_id),
        merchant_id=str(entry.merchant_id),
        partner_id=str(entry.partner_id),
        rate_card_id=str(entry.rate_card_id),
        cause_event_id=str(entry.cause_event_id),
        event_ids=map(str, entry.event_ids),
        reverses_entry_id=str(entry.reverses or ""),
        corrects_entry_id=str(entry.corrects or ""),
        occurred_at=timestamp(entry.occurred_at),
        booked_at=timestamp(entry.booked_at),
        postings=map(_posting_to, postings),
        explanation=explanation,
    )


def _posting_to(posting: Posting) -> ledger_pb2.Posting:
    return ledger_pb2.Posting(account=str(posting.account), purpose=posting.purpose, amount_paise=posting.paise)


def explanation_to(
    explanation: Explanation, lines: Iterable[Line], before: Iterable[Posting]
) -> ledger_pb2.Explanation:
    """Return an explanation with those of its lines, and of what was booked before, that the caller may see."""
    scope = explanation.card.scope
    return ledger_pb2.Explanation(
        rate_card=ledger_pb2.RateCardVersion(
            city_code=scope.city_code,
            vehicle=scope.vehicle,
            network_code=scope.network_code,
            version=explanation.card.version,
        ),
        lines=[
            ledger_pb2.Line(
                kind=line.kind.value,
                of_paise=line.of_paise,
                numerator=line.numerator,
                denominator=line.denominator,
                amount_paise=line.paise,
                because=line.because,
            )
            for line in lines
        ],
        agrees=explanation.agrees,
        booked_before=map(_posting_to, before),
    )

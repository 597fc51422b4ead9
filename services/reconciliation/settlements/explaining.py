"""Explains a line: gathers what its entry names, does the arithmetic again, and says whether that agrees."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.reconciliation.ledger import store as ledger
from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.explaining import explanation_of
from services.reconciliation.ledger.explanation import Explanation
from services.reconciliation.ledger.guarantee import Duty, guaranteed_paise, top_up_paise
from services.reconciliation.ledger.postings import Account
from services.reconciliation.ledger.rates import RateCard
from services.reconciliation.rate_cards import store as rate_cards
from services.reconciliation.settlements.holds.holding import accounts_of
from services.reconciliation.settlements.payments import store as payments
from services.reconciliation.settlements.payments.store import KnownPayment
from services.reconciliation.settlements.reading import store as reading
from services.reconciliation.settlements.reading.store import KnownLine, KnownPayout, KnownTopUp


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What a guarantee was worked out from, and what that comes to when it is done again."""

    known: KnownTopUp
    card: RateCard | None
    guaranteed_paise: int
    top_up_paise: int


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """A line with whichever of its reasons it has."""

    known: KnownLine
    delivery: Explanation | None
    guarantee: Guarantee | None
    payment: KnownPayment | None
    payout: KnownPayout | None
    agrees: bool


async def explain_line(connection: asyncpg.Connection, party: Account, entry_id: UUID) -> ExplainedLine | None:
    """Return where a party's line comes from; None when no statement has it."""
    known = await reading.line(connection, str(party), entry_id)
    if known is None:
        return None
    delivery = await _delivery(connection, known)
    guarantee = await _guarantee(connection, entry_id)
    payment = await payments.payment_of(connection, entry_id)
    payout = await reading.payout_of(connection, entry_id)
    paise = known.line.paise
    agrees = (
        -sum(amount for account, _, amount in known.postings if account in accounts_of(party)) == paise
        and sum(amount for _, _, amount in known.postings) == 0
        and (known.line.delivery_id is None or (delivery is not None and delivery.agrees))
        and (guarantee is None or guarantee.top_up_paise == guarantee.known.paise == paise)
        and (payment is None or payment.paise == payment.lines_paise == abs(paise))
        and (payout is None or payout.paise == abs(paise))
    )
    return ExplainedLine(known, delivery, guarantee, payment, payout, agrees)


async def _delivery(connection: asyncpg.Connection, known: KnownLine) -> Explanation | None:
    """Do the arithmetic of a delivery again, or of the one that is undone."""
    if known.line.delivery_id is None:
        return None
    entries = await ledger.entries_of(connection, [known.line.delivery_id])
    named = next((entry for entry in entries if entry.id == known.line.entry_id), None)
    if named is None or named.kind is EntryKind.REVERSAL:
        named = next((entry for entry in entries if entry.kind is EntryKind.EARNINGS), None)
    return await explanation_of(connection, named, entries) if named else None


async def _guarantee(connection: asyncpg.Connection, entry_id: UUID) -> Guarantee | None:
    known = await reading.top_up(connection, entry_id)
    if known is None:
        return None
    duty = Duty(known.earned_paise, known.on_duty_s)
    return Guarantee(
        known,
        await rate_cards.get(connection, known.rate_card_id),
        guaranteed_paise(known.on_duty_s, known.guarantee_paise_per_h),
        top_up_paise(duty, known.guarantee_paise_per_h),
    )

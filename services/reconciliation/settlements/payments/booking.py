"""Books what runs found that statements say was paid to parties, and what was handed in: each run once."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from libs.ids import new_id
from services.reconciliation.ledger.postings import Account
from services.reconciliation.settlements import store
from services.reconciliation.settlements.booking import (
    Booking,
    cause_of,
    merchant_of,
    paid_postings,
    partner_of,
    remitted_postings,
)
from services.reconciliation.settlements.payments import store as payments
from services.reconciliation.settlements.payments.store import PaidInRun
from services.reconciliation.settlements.statement import LineKind

_KINDS = {"payout": LineKind.PAYMENT, "cash": LineKind.REMITTANCE}


async def book_next_run(connection: asyncpg.Connection, own_cities: Sequence[str], now: datetime) -> bool:
    """Book the next closed run, in a transaction; return whether there was any."""
    if await payments.next_run(connection) is None:
        return False
    async with connection.transaction():
        await store.lock(connection)
        # Another worker may have booked it meanwhile.
        run_no = await payments.next_run(connection)
        if run_no is not None:
            paid = await payments.paid_in(connection, run_no)
            bookings = [_booking(run_no, one, own_cities) for one in paid]
            await store.book(connection, bookings, now)
            entry_ids = [booking.id for booking in bookings]
            await payments.note_booked(connection, run_no, list(zip(entry_ids, paid, strict=True)), now)
    return True


def _booking(run_no: int, one: PaidInRun, own_cities: Sequence[str]) -> Booking:
    party, kind = Account.parse(one.payee), _KINDS[one.leg]
    cause = cause_of(kind, run_no, one.payee)
    postings = paid_postings(party, one.paise) if one.leg == "payout" else remitted_postings(party, one.paise)
    calendar = one.city_code if one.city_code in own_cities else ""
    return Booking(
        new_id(), kind, cause, (cause,), calendar, one.paid_at, postings, partner_id=partner_of(party),
        merchant_id=merchant_of(party),
    )  # fmt: skip

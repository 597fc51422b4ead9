"""Runs one after the other on a real server: what a run makes of what earlier ones have concluded."""

import random
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.integration.services.reconciliation.test_runs import found
from tests.recon import NOW, Day, Owed, Paid, add_to_ledger, day_of, uuid_at
from tests.recon_runs import LIMITS, run_once, taken_in

_UNDO = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, reverses, postings_count, occurred_at, booked_at)
SELECT $2, 'reversal', gen_random_uuid(), event_ids, delivery_id, merchant_id, partner_id, partner_version,
  rate_card_id, id, 0, occurred_at, booked_at
FROM reconciliation.entries WHERE delivery_id = $1 AND kind = 'earnings'
"""


async def undo(owner: asyncpg.Connection, one: Owed, at: datetime) -> None:
    """Undo a delivery at a moment, past the ledger's triggers: its postings are no concern of runs."""
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(_UNDO, one.delivery_id, uuid_at(at, random.Random(1)))


def line(one: Owed, paise: int, number: int = 0, payee: UUID | None = None) -> Paid:
    """A payment of a delivery, the later the higher its number."""
    to = one.partner_id if payee is None else payee
    return Paid(str(one.delivery_id), to, paise, one.at + timedelta(hours=1, minutes=number))


@pytest.mark.parametrize("is_left_over", [False, True])
async def test_what_was_undone_before_it_was_paid_is_no_late_adjustment_of_a_run_that_looks_at_it_again(
    clean: asyncpg.Connection, pool: asyncpg.Pool, is_left_over: bool
) -> None:
    day = day_of(5, seed=7, every=1_000)
    one = day.owed[3]
    await add_to_ledger(clean, day.owed)
    # So late that the next run looks that far back; or earlier, and the next run begins where this one did.
    late = NOW - timedelta(seconds=LIMITS.overlap_s / 2)
    await undo(clean, one, one.at + timedelta(hours=1) if is_left_over else late)
    await taken_in(pool, day.file())
    await run_once(pool)
    if is_left_over:
        await clean.execute("UPDATE reconciliation.run_chunks SET is_quarantined = true, state = 'match_exact'")
    await run_once(pool, NOW.replace(day=28))
    assert await found(clean) == {"cancelled_after_export": {str(one.delivery_id)}}


async def test_what_the_wrong_partner_was_paid_is_no_late_adjustment_of_the_one_who_was_owed_it(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(20, seed=7, every=1_000)
    one, other = day.owed[4], day.owed[5]
    await add_to_ledger(clean, day.owed)
    paid = [row for row in day.paid if row.reference != str(one.delivery_id)]
    await taken_in(pool, Day(paid=[*paid, line(one, one.payout_paise, payee=other.partner_id)]).file())
    await run_once(pool)
    await undo(clean, one, NOW + timedelta(hours=1))
    await run_once(pool, NOW.replace(day=28))
    assert await found(clean) == {"wrong_partner": {str(one.delivery_id)}}

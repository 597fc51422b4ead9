"""Runs one after the other on a real server: what a run makes of what earlier ones have concluded."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from services.reconciliation.runs.worker import Worker
from tests.integration.services.reconciliation.test_replay import ONCE, opened, poison
from tests.integration.services.reconciliation.test_runs import found
from tests.recon import NOW, Day, Owed, Paid, add_to_ledger, day_of, uuid_at
from tests.recon_runs import LIMITS, RunLimits, run_once, taken_in

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


async def cursor(owner: asyncpg.Connection, run_no: int) -> datetime | None:
    """The last hand-over that a run says it has looked at."""
    at: datetime | None = await owner.fetchval(
        "SELECT last_confirmed_at FROM reconciliation.runs WHERE run_no = $1", run_no
    )
    return at


async def test_a_run_that_looks_at_an_older_hand_over_again_leaves_the_cursor_where_it_was(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(5, seed=7, every=1_000)
    await add_to_ledger(clean, day.owed)
    # An early hand-over that was booked late, so that the next run looks that far back.
    late = uuid_at(NOW - timedelta(seconds=LIMITS.overlap_s / 2), random.Random(1))
    entry_id = await clean.fetchval(
        "SELECT id FROM reconciliation.entries WHERE delivery_id = $1", day.owed[1].delivery_id
    )
    async with clean.transaction():
        await clean.execute("SET LOCAL session_replication_role = replica")
        await clean.execute("UPDATE reconciliation.postings SET entry_id = $2 WHERE entry_id = $1", entry_id, late)
        await clean.execute("UPDATE reconciliation.entries SET id = $2 WHERE id = $1", entry_id, late)
    for number in (1, 2, 3):
        await run_once(pool, NOW.replace(day=26 + number))
        assert await cursor(clean, number) == day.owed[-1].at


async def test_the_cursor_stays_before_what_a_run_could_not_look_at(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(1_000, seed=10, every=10_000)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await poison(clean, "results", day.owed[-1].delivery_id)
    await opened(pool)
    worker = Worker(pool, LIMITS, ONCE)
    while await worker.work_once():
        pass
    left_from = await clean.fetchval("SELECT delivery_from FROM reconciliation.run_chunks WHERE is_quarantined")
    assert await cursor(clean, 1) == max(one.at for one in day.owed if one.delivery_id < left_from)
    await clean.execute("DROP TRIGGER poison ON reconciliation.results")
    await run_once(pool, NOW.replace(day=28))
    assert await cursor(clean, 2) == day.owed[-1].at


@pytest.mark.parametrize("chunk_rows", [400, 20])
async def test_what_is_booked_while_a_run_matches_is_looked_at_by_the_next_leg_by_leg(
    clean: asyncpg.Connection, pool: asyncpg.Pool, chunk_rows: int
) -> None:
    limits = RunLimits(chunk_rows=chunk_rows)
    day = day_of(100, seed=12, every=10_000)
    late = next(one for one in day.owed[50:] if one.cash_paise)
    await add_to_ledger(clean, [one for one in day.owed if one is not late])
    # Its payout is paid, and its cash is never handed in.
    paid = [row for row in day.paid if row.reference != str(late.delivery_id) or row.leg == "payout"]
    await taken_in(pool, Day(paid=paid).file())
    await opened(pool, limits)
    worker = Worker(pool, limits, ONCE)
    while await clean.fetchval("SELECT count(*) FROM reconciliation.run_chunks WHERE state = 'collect'"):
        assert await worker.work_once()
    handed_over_at = NOW - timedelta(seconds=limits.settle_s + 3)
    await add_to_ledger(clean, [replace(late, at=handed_over_at)], seed=2)
    while await worker.work_once():
        pass
    await run_once(pool, NOW.replace(day=28), limits)
    assert await found(clean) == {"cash_mismatch": {str(late.delivery_id)}}

"""Hand-overs that are corrected, as runs see them: what is owed is what it was corrected to, whenever that was told."""

import random
from datetime import datetime, timedelta

import asyncpg
import pytest

from tests.integration.services.reconciliation.test_runs import found, rules_used
from tests.integration.services.reconciliation.test_successive_runs import line, undo
from tests.recon import NOW, Day, Owed, add_to_ledger, day_of, uuid_at
from tests.recon_runs import RunLimits, run_once, taken_in
from tests.recon_tables import RUNS, digests, empty

SECOND, THIRD = NOW.replace(day=28), NOW.replace(day=29)
_CORRECT = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, merchant_id, partner_id, partner_version,
  rate_card_id, corrects, postings_count, occurred_at, booked_at)
SELECT $2, 'correction', gen_random_uuid(), event_ids, merchant_id, partner_id, partner_version, rate_card_id, id, 2,
  occurred_at, booked_at
FROM reconciliation.entries WHERE delivery_id = $1 AND kind = 'earnings'
"""
_POST = """
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, booked_at)
VALUES ($1, 1, 2, $2, 'earnings', -$3::bigint, now()), ($1, 2, 2, 'platform:earnings', 'earnings', $3, now())
"""
NUMBERS = iter(range(1_000_000))


async def correct(owner: asyncpg.Connection, one: Owed, paise: int, at: datetime) -> None:
    """Have a delivery be owed so much more, or less, from a moment on."""
    entry_id = uuid_at(at, random.Random(next(NUMBERS)))
    async with owner.transaction():
        await owner.execute(_CORRECT, one.delivery_id, entry_id)
        await owner.execute(_POST, entry_id, f"partner:{one.partner_id}", paise)


async def a_day(owner: asyncpg.Connection) -> tuple[Day, Owed]:
    """A day on which all is paid, and one of its deliveries that is paid nothing yet."""
    day = day_of(20, seed=7, every=1_000)
    await add_to_ledger(owner, day.owed)
    # One without cash: what is said of it is of its payout alone.
    one = day.owed[4]
    assert not one.cash_paise
    return Day(owed=day.owed, paid=[row for row in day.paid if row.reference != str(one.delivery_id)]), one


@pytest.mark.parametrize("paise", [300, -300])
async def test_what_is_corrected_before_it_is_looked_at_is_owed_as_it_was_corrected(
    clean: asyncpg.Connection, pool: asyncpg.Pool, paise: int
) -> None:
    day, one = await a_day(clean)
    for part in (paise - 100, 100):
        await correct(clean, one, part, one.at + timedelta(hours=2))
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise + paise)]).file())
    await run_once(pool)
    assert await found(clean) == {}
    assert set(await rules_used(clean)) == {"exact"}


async def test_what_is_paid_as_it_was_before_its_correction_is_judged_by_that(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day, one = await a_day(clean)
    await correct(clean, one, -300, one.at + timedelta(hours=2))
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise)]).file())
    await run_once(pool)
    assert await found(clean) == {"overpaid": {str(one.delivery_id)}}
    told = await clean.fetchrow(
        "SELECT expected_paise, evidence->>'owed_paise' AS owed FROM reconciliation.discrepancies"
    )
    assert (told["expected_paise"], told["owed"]) == (one.payout_paise - 300, str(one.payout_paise - 300))


@pytest.mark.parametrize("paise", [300, -300])
async def test_what_an_earlier_run_has_left_open_is_owed_as_it_is_corrected_since(
    clean: asyncpg.Connection, pool: asyncpg.Pool, paise: int
) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, day.file())
    await run_once(pool)
    assert await found(clean) == {"missing_payout": {str(one.delivery_id)}}
    await correct(clean, one, paise, NOW + timedelta(hours=1))
    await taken_in(pool, Day(paid=[line(one, one.payout_paise + paise)]).file())
    await run_once(pool, SECOND)
    assert await found(clean, 2) == {}
    assert await clean.fetchval("SELECT settled_run_no FROM reconciliation.discrepancies") == 2


async def test_what_is_corrected_to_nothing_is_missing_no_more(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, day.file())
    await run_once(pool)
    await correct(clean, one, -one.payout_paise, NOW + timedelta(hours=1))
    await run_once(pool, SECOND)
    assert await clean.fetchval("SELECT settled_run_no FROM reconciliation.discrepancies") == 2
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.open_legs") == 0


async def test_what_is_corrected_to_more_after_it_was_paid_may_be_paid_by_a_further_line_once(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise)]).file())
    await run_once(pool)
    await correct(clean, one, 300, NOW + timedelta(hours=1))
    await taken_in(pool, Day(paid=[line(one, 300, number=7)]).file())
    await run_once(pool, SECOND)
    assert await found(clean) == {}
    await taken_in(pool, Day(paid=[line(one, 300, number=8)]).file())
    await run_once(pool, THIRD)
    assert await found(clean) == {"duplicate": {str(one.delivery_id)}}


async def test_what_is_corrected_to_less_after_it_was_paid_is_no_case_of_the_desk(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise)]).file())
    await run_once(pool)
    await correct(clean, one, -300, NOW + timedelta(hours=1))
    await run_once(pool, SECOND)
    assert await found(clean) == {}


async def test_what_is_undone_after_a_correction_was_owed_as_it_was_corrected(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day, one = await a_day(clean)
    await correct(clean, one, 300, one.at + timedelta(hours=2))
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise + 300)]).file())
    await run_once(pool)
    await undo(clean, one, NOW + timedelta(hours=1))
    await run_once(pool, SECOND)
    assert await found(clean) == {"late_adjustment": {str(one.delivery_id)}}
    told = await clean.fetchrow("SELECT paid_paise, evidence->>'owed_paise' AS owed FROM reconciliation.discrepancies")
    assert (told["paid_paise"], told["owed"]) == (one.payout_paise + 300, str(one.payout_paise + 300))


async def test_corrections_leave_the_same_however_a_run_is_cut(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    day = day_of(600, seed=11, every=20)
    await add_to_ledger(clean, day.owed)
    for place, one in enumerate(day.owed[::9]):
        await correct(clean, one, 100 - 200 * (place % 2), one.at + timedelta(hours=place % 20))
    await taken_in(pool, day.file())
    results = []
    for rows in (100_000, 90):
        await empty(clean, *RUNS)
        await run_once(pool, limits=RunLimits(chunk_rows=rows))
        await clean.execute("UPDATE reconciliation.results SET chunk = 0")
        tables = await digests(clean)
        results.append({name: tables[name] for name in ("results", "open_legs", "open_lines", "discrepancies")})
    assert results[0] == results[1]

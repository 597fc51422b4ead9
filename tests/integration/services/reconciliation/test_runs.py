"""Runs on a real server: every seeded discrepancy is found and none invented, each line and leg is settled once."""

from collections import Counter, defaultdict

import asyncpg
import pytest

from services.reconciliation.runs.limits import WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.runs.worker import Worker
from tests.recon import NOW, Day, add_to_ledger, day_of
from tests.recon_runs import LIMITS, run_once, taken_in


async def found(owner: asyncpg.Connection, run_no: int | None = None) -> dict[str, set[str]]:
    rows = await owner.fetch(
        "SELECT d.class, coalesce(l.reference, d.delivery_id::text) AS about FROM reconciliation.discrepancies d"
        " LEFT JOIN reconciliation.statement_lines l ON l.statement_id = d.statement_id AND l.line = d.line"
        " WHERE $1::int IS NULL OR d.run_no = $1", run_no)  # fmt: skip
    by_class = defaultdict(set)
    for row in rows:
        by_class[row["class"]].add(row["about"])
    return dict(by_class)


async def rules_used(owner: asyncpg.Connection) -> Counter[str]:
    rows = await owner.fetch("SELECT rule, count(*) FROM reconciliation.results GROUP BY rule")
    return Counter({row["rule"]: row["count"] for row in rows})


async def test_every_seeded_discrepancy_is_found_and_none_invented(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(2_200, seed=5, every=20)
    await add_to_ledger(clean, day.owed)
    taken = await taken_in(pool, day.file())
    assert (taken.statement.rows_taken, taken.statement.rows_refused) == (len(day.paid), 0)
    assert taken.statement.taken_paise == sum(row.paise for row in day.paid)
    await run_once(pool)
    assert await found(clean) == dict(day.seeded)
    rules = await rules_used(clean)
    assert (rules["many_to_one"], rules["missing_reference"], rules["mistyped_reference"]) == (20, 10, 10)
    quarantined = await clean.fetchval("SELECT count(*) FROM reconciliation.run_chunks WHERE is_quarantined")
    closed = await clean.fetchrow("SELECT closed_at, last_confirmed_at FROM reconciliation.runs")
    assert (quarantined, closed["last_confirmed_at"]) == (0, max(one.at for one in day.owed))
    assert closed["closed_at"] is not None


async def test_what_is_open_is_settled_by_the_run_in_which_it_comes(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(300, seed=6, every=1_000)
    late = [one for one in day.owed if one.number % 10 == 0]
    named = {str(one.delivery_id) for one in late}
    await add_to_ledger(clean, day.owed)
    first = Day(paid=[row for row in day.paid if row.reference not in named])
    await taken_in(pool, first.file())
    assert await run_once(pool) == 1
    assert (await found(clean)).keys() == {"missing_payout", "cash_mismatch"}
    await taken_in(pool, Day(paid=[row for row in day.paid if row.reference in named]).file())
    assert await run_once(pool) == 2
    assert await found(clean, 2) == {}
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.discrepancies WHERE settled_run_no IS NULL") == 0
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.open_legs") == 0


async def test_a_cancellation_after_its_leg_was_settled_is_one_adjustment_however_often_is_run(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(50, seed=7, every=1_000)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool)
    one = day.owed[7]
    await clean.execute("SET session_replication_role = replica")
    await clean.execute(
        "INSERT INTO reconciliation.entries SELECT gen_random_uuid(), 'reversal', gen_random_uuid(), event_ids,"
        " delivery_id, merchant_id, partner_id, partner_version, rate_card_id, id, 0, occurred_at, booked_at"
        " FROM reconciliation.entries WHERE delivery_id = $1", one.delivery_id)  # fmt: skip
    await clean.execute(
        "UPDATE reconciliation.entries SET id = $1 WHERE kind = 'reversal'",
        (await clean.fetchval("SELECT entries_until FROM reconciliation.runs")))  # fmt: skip
    await clean.execute("RESET session_replication_role")
    for number in (2, 3):
        await run_once(pool, NOW.replace(day=27 + number - 1))
        assert await found(clean, 3) == {}
    assert await found(clean, 2) == {"late_adjustment": {str(one.delivery_id)}}


async def test_a_line_may_pay_for_several_deliveries(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    day = day_of(70, seed=8, every=1_000)
    partner = day.owed[0].partner_id
    mine = [one for one in day.owed if one.partner_id == partner]
    paid = [row for row in day.paid if row.payee != partner or row.leg == "cash"]
    together = sum(one.payout_paise for one in mine)
    line = next(row for row in day.paid if row.payee == partner)
    paid.append(type(line)("", partner, together, max(one.at for one in mine)))
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, Day(paid=paid).file())
    await run_once(pool)
    assert await found(clean) == {}
    assert (await rules_used(clean))["one_to_many"] == len(mine) + 1


async def test_the_same_file_twice_changes_nothing(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    content = day_of(20, seed=9).file()
    first, again = await taken_in(pool, content), await taken_in(pool, content)
    assert (first.was_there, again.was_there) == (False, True)
    assert again.statement == first.statement
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.statements") == 1


async def test_a_chunk_that_always_fails_is_quarantined_and_the_rest_is_done(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(1_000, seed=10, every=10_000)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    poisoned = day.owed[500]
    await clean.execute(
        "CREATE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.delivery_id = '{poisoned.delivery_id}' THEN RAISE 'poison'; END IF; RETURN NEW; END $$")  # fmt: skip
    await clean.execute(
        "CREATE TRIGGER poison BEFORE INSERT ON reconciliation.results FOR EACH ROW EXECUTE FUNCTION pg_temp.poison()"
    )
    worker = Worker(pool, LIMITS, WorkerLimits(schedule="never", attempts_max=2, backoff_first_s=0.001))
    async with pool.acquire() as connection, connection.transaction():
        await open_run(connection, rules_of(LIMITS), LIMITS, "test", NOW)
    while await clean.fetchval("SELECT count(*) FROM reconciliation.runs WHERE closed_at IS NULL"):
        await worker.work_once()
    rows = await clean.fetch("SELECT state, last_error FROM reconciliation.run_chunks WHERE is_quarantined")
    assert [row["state"] for row in rows] == ["match_exact"]
    assert "poison" in rows[0]["last_error"]
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.results") > len(day.paid) / 2
    # Nothing is concluded of what may be missing.
    assert await found(clean) == {}
    await clean.execute("DROP TRIGGER poison ON reconciliation.results")
    await run_once(pool)
    assert await found(clean) == {}
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.results") == len(day.paid)


async def test_a_line_and_a_leg_are_settled_once_by_the_database(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    day = day_of(10, seed=11, every=1_000)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool)
    for change in ("statement_id = gen_random_uuid()", "delivery_id = gen_random_uuid()"):
        column = change.partition(" ")[0]
        kept = "line, delivery_id" if column == "statement_id" else "statement_id, line"
        with pytest.raises(asyncpg.UniqueViolationError):
            await clean.execute(
                f"INSERT INTO reconciliation.results ({column}, {kept}, leg, outcome, rule, is_settling,"
                f" expected_paise, paid_paise, run_no, chunk) SELECT gen_random_uuid(), {kept}, leg, outcome, rule,"
                " is_settling, expected_paise, paid_paise, 9, 0 FROM reconciliation.results LIMIT 1"
            )


async def test_a_worker_that_has_lost_its_chunk_commits_nothing(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    await add_to_ledger(clean, day_of(10, seed=12, every=1_000).owed)
    async with pool.acquire() as connection, connection.transaction():
        await open_run(connection, rules_of(LIMITS), LIMITS, "test", NOW)
    slow, quick = (Worker(pool, LIMITS, WorkerLimits(schedule="never", lease_ttl_s=0.001)) for _ in range(2))
    async with pool.acquire() as connection:
        claimed = await slow.claim(connection)
        assert claimed is not None
        await clean.execute("UPDATE reconciliation.run_chunks SET leased_until = now() - interval '1 second'")
        assert await quick.work_once()
        before = await clean.fetch("SELECT state, fence FROM reconciliation.run_chunks")
        await slow.attempt(connection, claimed)
        assert await clean.fetch("SELECT state, fence FROM reconciliation.run_chunks") == before

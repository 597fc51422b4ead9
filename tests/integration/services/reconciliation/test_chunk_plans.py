"""A chunk's exact matching: the same however its postings are read, and no loop in a loop whatever is expected."""

import asyncpg
import pytest

from services.reconciliation.runs.collecting import store as collecting
from tests.integration.plans.explain import Mode, explain
from tests.recon import add_to_ledger, day_of
from tests.recon_runs import RunLimits, run_once, taken_in
from tests.recon_tables import RUNS, digests, empty
from tests.statements import named_statements

DELIVERIES = 1_000
# Postings are six of a delivery; lines, entries and legs another six.
ROWS_OF_ONE_MAX = 20
_CHUNK = """
SELECT c.run_no, c.chunk, c.delivery_from, c.delivery_to, r.entries_from AS run_from, r.entries_until AS run_until,
  r.entries_from AS new_from, c.collected_from, c.collected_to
FROM reconciliation.run_chunks c JOIN reconciliation.runs r ON r.run_no = c.run_no
"""


async def test_postings_that_are_read_in_one_go_or_each_by_itself_leave_the_same(
    clean: asyncpg.Connection, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = day_of(DELIVERIES, seed=8, every=10)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool)
    found = await digests(clean)
    for not_there in ("_MATCH_EXACT_SCATTERED", "_MATCH_EXACT"):
        await empty(clean, *RUNS)
        with monkeypatch.context() as patched:
            patched.delattr(collecting, not_there)
            patched.setattr(collecting, "_AMONG_MAX", 2 if not_there == "_MATCH_EXACT_SCATTERED" else 0)
            await run_once(pool)
        assert await digests(clean) == found


@pytest.mark.parametrize(("name", "values"), [("MATCH_EXACT", 9), ("MATCH_EXACT_SCATTERED", 7)])
async def test_thousands_do_not_meet_in_a_loop_in_a_loop(
    clean: asyncpg.Connection, pool: asyncpg.Pool, name: str, values: int
) -> None:
    """Of what is newer than its statistics PostgreSQL expects one row, and one row is best joined by a loop."""
    day = day_of(DELIVERIES, seed=9, every=10)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool, limits=RunLimits(chunk_rows=10 * DELIVERIES))
    chunk = await clean.fetchrow(_CHUNK)
    await empty(clean, "results", "open_lines", "open_legs", "discrepancies")
    async with clean.transaction():
        await clean.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        text = named_statements()[f"reconciliation.runs.collecting.store.{name}"]
        plan = await explain(clean, text, list(chunk.values())[:values], Mode.CUSTOM)
    assert plan.rows <= ROWS_OF_ONE_MAX * DELIVERIES, plan.text
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.results WHERE rule = 'exact'") > DELIVERIES

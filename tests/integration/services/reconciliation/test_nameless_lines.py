"""Lines without a reference on a real server: what belongs together is found however many are alike."""

import random
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.worker import Worker
from tests.integration.services.reconciliation.test_replay import opened
from tests.integration.services.reconciliation.test_runs import found, rules_used
from tests.recon import START, Day, Owed, Paid, add_to_ledger, uuid_at
from tests.recon_runs import run_once, taken_in
from tests.recon_tables import RUNS, empty

# More than passes of a rule.
COUNT, PAISE = 45, 5_000
DUE = RunLimits(chunk_rows=400, payout_due_min=0)
_PAIRS = "SELECT line, delivery_id FROM reconciliation.results ORDER BY line, delivery_id"


def legs_of(count: int) -> list[Owed]:
    """As many deliveries of one partner, each worth the same, 20 minutes after the other."""
    chance = random.Random(3)
    partner_id = uuid_at(START - timedelta(days=30), chance)
    moments = [START + timedelta(minutes=20 * number) for number in range(count)]
    return [Owed(number, uuid_at(at, chance), partner_id, PAISE, 0, at) for number, at in enumerate(moments)]


def nameless(to: UUID, paise: int, after_min: int) -> Paid:
    return Paid("", to, paise, START + timedelta(minutes=after_min))


@pytest.mark.parametrize("apart_min", [0, 3])
async def test_as_many_lines_as_legs_that_are_all_alike_are_matched_the_same_way_however_the_run_is_cut(
    clean: asyncpg.Connection, pool: asyncpg.Pool, apart_min: int
) -> None:
    owed = legs_of(COUNT)
    partner_id = owed[0].partner_id
    await add_to_ledger(clean, owed)
    # A day's payments at its end: all have the same leg for their nearest, and all legs the same line.
    paid = [nameless(partner_id, PAISE, 20 * COUNT + apart_min * number) for number in range(COUNT)]
    await taken_in(pool, Day(paid=paid).file())
    made = []
    for chunk_rows in (400, 10):
        await run_once(pool, limits=DUE.model_copy(update={"chunk_rows": chunk_rows}))
        assert await found(clean) == {}
        assert await rules_used(clean) == {"missing_reference": COUNT}
        made.append(await clean.fetch(_PAIRS))
        await empty(clean, *RUNS)
    assert made[0] == made[1]


async def test_what_a_rule_has_no_passes_left_for_is_undecided_until_the_next_run(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    owed = legs_of(8)
    partner_id = owed[0].partner_id
    await add_to_ledger(clean, owed)
    # The second of them is what the later half is worth, once the first is known to pay the earlier one.
    paid = [nameless(partner_id, 4 * PAISE, after_min) for after_min in (70, 150)]
    await taken_in(pool, Day(paid=paid).file())
    worker = Worker(pool, DUE, WorkerLimits(schedule="never", passes_max=1))
    for open_legs, undecided in ((4, 1), (0, 1)):
        run_no = await opened(pool, DUE)
        while await worker.work_once():
            pass
        assert await found(clean) == {}
        assert await clean.fetchval("SELECT count(*) FROM reconciliation.open_legs") == open_legs
        assert await clean.fetchval(
            "SELECT (tallies->>'undecided')::int FROM reconciliation.run_chunks WHERE run_no = $1", run_no
        ) == undecided  # fmt: skip
    assert (await rules_used(clean))["one_to_many"] == len(owed) + len(paid)

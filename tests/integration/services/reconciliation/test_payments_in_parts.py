"""A leg that is paid in parts, a run after the other: what is left of it is one case, for as long as anything is."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from services.reconciliation.exceptions.desk import Decision, Desk
from services.reconciliation.exceptions.limits import DeskLimits
from services.reconciliation.exceptions.resolutions import ResolutionKind
from services.reconciliation.runs.worker import Worker
from tests.desk_api import BILAL, KIND, DeskApi, balance, follow, refused
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.test_replay import ONCE, PATIENT, STALL, opened, poison
from tests.integration.services.reconciliation.test_replay import request as replay_of
from tests.integration.services.reconciliation.test_successive_runs import line, undo
from tests.invariants import broken_invariants
from tests.recon import NOW, Day, add_to_ledger, day_of
from tests.recon_runs import LIMITS, run_once, taken_in
from tests.recon_tables import RUNS, digests, empty

DEADLINE_S = 20
_CASES = """
SELECT run_no, class, expected_paise, paid_paise, settled_run_no FROM reconciliation.discrepancies
ORDER BY run_no, paid_paise
"""
_SECOND_IS_OF_RUN_2 = """
INSERT INTO reconciliation.run_statements (statement_id, run_no)
SELECT id, 2 FROM reconciliation.statements ORDER BY id OFFSET 1
"""


class Paying:
    """A delivery with one leg of Rs 1,000, and what statements say of it."""

    def __init__(self, owner: asyncpg.Connection, pool: asyncpg.Pool, leg: str) -> None:
        amounts = {f"{name}_paise": 100_000 if name == leg else 0 for name in ("payout", "cash")}
        self.one = replace(day_of(1, seed=7).owed[0], **amounts)
        self.under, self.over = ("underpaid", "overpaid") if leg == "payout" else ("cash_mismatch", "cash_mismatch")
        self._owner, self._pool, self._leg = owner, pool, leg
        self._lines = self._runs = 0

    async def say(self, *rupees: int) -> None:
        """Take in a statement with some payments."""
        rows = [line(self.one, 100 * amount, self._lines + place) for place, amount in enumerate(rupees)]
        self._lines += len(rows)
        await taken_in(self._pool, Day(paid=[replace(row, leg=self._leg) for row in rows]).file())

    async def run(self) -> None:
        self._runs += 1
        await run_once(self._pool, NOW.replace(day=26 + self._runs))

    async def pay(self, *rupees: int) -> None:
        """Take in a statement with some payments, and look at it."""
        await self.say(*rupees)
        await self.run()

    async def cases(self) -> list[tuple[object, ...]]:
        """By run and amount: the run, the class, what was expected and what was paid, and the run that settled it."""
        rows = await self._owner.fetch(_CASES)
        return [(row[0], row[1], row[2] // 100, row[3] // 100, row[4]) for row in rows]


@pytest.fixture(params=["payout", "cash"])
async def paying(request: pytest.FixtureRequest, clean: asyncpg.Connection, pool: asyncpg.Pool) -> Paying:
    made = Paying(clean, pool, request.param)
    await add_to_ledger(clean, [made.one])
    return made


async def test_a_second_part_in_a_later_file_settles_what_was_paid_too_little(paying: Paying) -> None:
    await paying.pay(600)
    assert await paying.cases() == [(1, paying.under, 1_000, 600, None)]
    await paying.pay(400)
    assert await paying.cases() == [(1, paying.under, 1_000, 600, 2)]
    # What comes after all of it was paid is too much.
    await paying.pay(400)
    assert (await paying.cases())[1:] == [(3, "duplicate", 0, 400, None)]


async def test_a_later_part_of_too_much_or_too_little_is_the_one_case_of_what_was_left(paying: Paying) -> None:
    await paying.pay(200, 100)
    assert await paying.cases() == [(1, paying.under, 0, 100, None), (1, paying.under, 1_000, 200, None)]
    await paying.pay(300)
    earlier = [(1, paying.under, 0, 100, 2), (1, paying.under, 1_000, 200, 2)]
    assert await paying.cases() == [*earlier, (2, paying.under, 700, 300, None)]
    await paying.pay(600)
    assert (await paying.cases())[2:] == [(2, paying.under, 700, 300, 3), (3, paying.over, 400, 600, None)]
    await paying.pay(1)
    assert (await paying.cases())[3:] == [(3, paying.over, 400, 600, None), (4, "duplicate", 0, 1, None)]


async def test_several_later_parts_that_are_the_rest_together_settle_it(
    paying: Paying, clean: asyncpg.Connection, embedded_servers: EmbeddedServers
) -> None:
    await paying.pay(600)
    await paying.pay(100, 300)
    assert await paying.cases() == [(1, paying.under, 1_000, 600, 2)]
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}


async def test_what_was_paid_in_parts_and_is_undone_since_is_adjusted_whole(
    paying: Paying, clean: asyncpg.Connection
) -> None:
    await paying.pay(600)
    await paying.pay(400)
    await undo(clean, paying.one, NOW.replace(day=28, hour=1))
    await paying.run()
    assert (await paying.cases())[1:] == [(3, "late_adjustment", 0, 1_000, None)]


async def test_a_later_part_leaves_the_same_bytes_whoever_dies_of_it(
    paying: Paying, clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await paying.say(600)
    await run_once(pool)
    await paying.say(450)
    await run_once(pool)
    undisturbed = await digests(clean)
    await empty(clean, *RUNS)
    async with clean.transaction():
        await clean.execute("SET LOCAL session_replication_role = replica")
        await clean.execute(_SECOND_IS_OF_RUN_2)
    await run_once(pool)
    assert await digests(clean) != undisturbed
    await opened(pool)
    worker = Worker(pool, LIMITS, PATIENT)
    await clean.execute(STALL)
    while await worker.work_once():
        pass
    await clean.execute("DROP TRIGGER stall ON reconciliation.run_chunks")
    await clean.execute("UPDATE reconciliation.run_chunks SET not_before = NULL")
    while await worker.work_once():
        pass
    assert await digests(clean) == undisturbed


async def test_what_could_not_be_written_down_before_its_second_part_came_is_settled_when_it_is(
    paying: Paying, clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi
) -> None:
    await paying.say(600)
    await poison(clean, "discrepancies", paying.one.delivery_id)
    await opened(pool)
    worker = Worker(pool, LIMITS, ONCE)
    while await worker.work_once():
        pass
    await clean.execute("DROP TRIGGER poison ON reconciliation.discrepancies")
    await paying.say(400)
    await run_once(pool, NOW.replace(day=28))
    assert await paying.cases() == []
    await follow(api, clean)
    await api.ask(api.runs.ReplayChunks, replay_of())
    while await worker.work_once():
        pass
    assert await paying.cases() == [(1, paying.under, 1_000, 600, 2)]


async def test_what_was_written_off_is_owed_no_more_and_what_was_to_be_paid_still_is(
    paying: Paying, clean: asyncpg.Connection, api: LedgerApi
) -> None:
    desk = DeskApi(api)
    await paying.pay(600)
    await follow(api, clean)
    later = KIND.RESOLUTION_KIND_PAY if paying.one.payout_paise else KIND.RESOLUTION_KIND_RECOVER
    await desk.resolve(await desk.cases(), later)
    await paying.pay(100)
    assert (await paying.cases())[1:] == [(2, paying.under, 400, 100, None)]
    await follow(api, clean)
    await desk.resolve(await desk.cases(), KIND.RESOLUTION_KIND_WRITE_OFF)
    assert abs(await balance(clean, "platform:write_offs")) == 30_000
    await paying.pay(300)
    assert (await paying.cases())[2:] == [(3, "duplicate", 0, 300, None)]


async def test_a_case_that_is_proposed_to_be_written_off_is_settled_by_the_part_that_comes(
    paying: Paying, clean: asyncpg.Connection, api: LedgerApi, embedded_servers: EmbeddedServers
) -> None:
    desk = DeskApi(api)
    # So much is missing that two have to decide.
    await paying.pay(100)
    await follow(api, clean)
    proposed = (await desk.resolve(await desk.cases(), KIND.RESOLUTION_KIND_WRITE_OFF)).resolution
    assert proposed.outcome == ""
    await paying.pay(900)
    assert await refused(desk.approve(proposed.id, BILAL)) == "CASE_STATE"
    assert await balance(clean, "platform:write_offs") == 0
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}


async def test_a_run_waits_for_a_write_off_of_what_it_would_settle(
    paying: Paying, clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await paying.pay(600)
    await paying.say(400)
    async with asyncio.timeout(DEADLINE_S):
        async with pool.acquire() as watching:
            case_id = await watching.fetchval("SELECT id FROM reconciliation.discrepancies")
            async with clean.transaction():
                desk = Desk(clean, DeskLimits(), (), "asha", NOW)
                await desk.resolve([case_id], Decision(ResolutionKind.WRITE_OFF, False, "why"))
                running = asyncio.create_task(paying.run())
                while not await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.01)
            await running
    assert await paying.cases() == [(1, paying.under, 1_000, 600, None), (2, "duplicate", 0, 400, None)]

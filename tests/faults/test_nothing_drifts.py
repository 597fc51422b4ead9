"""Processes and servers are killed in a seeded order under traffic and 50,000 commits, and nothing drifts.

A matcher compares each of its cities with the database every two seconds, and may find what no event on its way
explains in none of them, at no time. At the end the cache answers what the database holds, and a newcomer's consumer
has taken effect once for every event, in the order of its aggregate.
"""

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from libs.embedded.stack import RunningStack
from tests.commits import Load, by_subject
from tests.events import new_city
from tests.invariants import broken_invariants
from tests.newcomer import EFFECTS, ConsumerProcess, install, make_tables
from tests.rest import Rest, until

pytestmark = pytest.mark.timeout(600)
SEED = 20_261_126
CITIES = 3
SHOPPERS = 3
NEWCOMER = "newcomer"
FAULTS = [
    "relay", "valkey", "postgres-standby", "assignment-consumer", NEWCOMER, "assignment-matcher-1",
    "relay", "valkey", "postgres-standby", "assignment-consumer", NEWCOMER, "assignment-matcher-2",
]  # fmt: skip
DELIVERIES_BETWEEN_FAULTS = 10
# Most commits are changes of made-up deliveries in cities of their own.
COMMITS, WRITERS, MADE_UP_CITIES, MADE_UP_EACH = 50_000, 8, 2, 40
QUIET_S_MAX = 90.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    settings = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_MATCHER_PROCESSES": "2",
        "LASTMILE_MATCHER_LEASE_TTL_S": "2",
        "LASTMILE_MATCHER_LEASE_RENEW_S": "0.5",
        "LASTMILE_MATCHER_PICTURE__RECONCILE_S": "2",
        "LASTMILE_MATCHER_PICTURE__OVERLAP_EVENTS": "50",
        "LASTMILE_RESTART_BACKOFF_S_MIN": "0.5",
        "LASTMILE_RESTART_BACKOFF_S_MAX": "1",
    }
    with RunningStack(tmp_path_factory.mktemp("pictures") / "home", settings) as started:
        yield started


class Shopper:
    """Creates deliveries, and has partners accept, reject, hand back, carry out; cancels some; sends partners home."""

    def __init__(self, stack: RunningStack, cities: list[str], merchant: str, seed: int) -> None:
        self._ops = Rest(stack.base_url, stack.ops_api_key)
        self._cities, self._merchant, self._chance = cities, merchant, random.Random(seed)
        self.over = threading.Event()
        self.made: list[str] = []
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._step()
            except (httpx.HTTPError, AssertionError):
                # Something is dead just now.
                time.sleep(0.05)

    def _step(self) -> None:
        chance, ops = self._chance, self._ops
        self.made.append(ops.delivery(chance.choice(self._cities), self._merchant, weightG=chance.randint(1, 4_000)))
        if chance.random() < 0.1:
            self._ask("cancel", f"/v1/deliveries/{chance.choice(self.made)}:cancel", {})
        offers = ops.ask("GET", "/v1/offers?states=OFFER_STATE_OPEN&pageSize=20").json().get("offers", [])
        for offer in offers:
            if chance.random() < 0.6:
                self._ask("accept", f"/v1/offers/{offer['id']}:accept", {})
            elif chance.random() < 0.5:
                self._ask("reject", f"/v1/offers/{offer['id']}:reject", {"reason": "BUSY"})
        delivery = chance.choice(self.made)
        for state in ("PICKED_UP", "OUT_FOR_DELIVERY", "DELIVERED"):
            self._ask("record", f"/v1/deliveries/{delivery}:recordStatus", {"state": f"DELIVERY_STATE_{state}"})

    def _ask(self, what: str, path: str, body: dict[str, str]) -> None:
        # Most are refused: it is too late for them, or too early.
        self.done[what] += self._ops.ask("POST", path, body).status_code == 200


def compared(stack: RunningStack) -> Counter[str]:
    """Return what the comparisons of both matchers have come to since they were started."""
    found: Counter[str] = Counter()
    for index in range(2):
        url = f"http://{stack.settings.host}:{stack.settings.matcher_metrics_port + index}/metrics"
        for line in httpx.get(url, timeout=5).text.splitlines():
            if line.startswith("lastmile_matcher_reconciled_total{"):
                name = line.split('"')[1]
                found[name] += int(float(line.split()[-1]))
    return found


async def held(stack: RunningStack, cities: list[str]) -> dict[str, str]:
    """Return what the database holds of the cities' deliveries and partners, by id."""
    connection = await asyncpg.connect(stack.dsn())
    query = """
    SELECT id::text, upper(state::text) AS holds FROM assignment.deliveries WHERE city_code = ANY ($1)
    UNION ALL SELECT id::text, parcels_held::text FROM assignment.partners WHERE city_code = ANY ($1)
    """
    rows = await connection.fetch(query, cities)
    await connection.close()
    return {row["id"]: row["holds"] for row in rows}


def answered(ops: Rest, cities: list[str], sources: Counter[str]) -> dict[str, str]:
    """Return the same as the lists say it, and count where their answers come from."""
    found: dict[str, str] = {}

    def ask(path: str) -> Any:
        response = ops.ask("GET", path)
        sources[response.headers["Lastmile-Source"]] += 1
        return response.json()

    for city in cities:
        query, token = f"/v1/deliveries?cityCode={city}&pageSize=200", "first"
        while token:
            page = ask(query if token == "first" else f"{query}&pageToken={token}")
            found |= {one["id"]: one["state"].removeprefix("DELIVERY_STATE_") for one in page.get("deliveries", [])}
            token = page.get("nextPageToken", "")
        for partner in ask(f"/v1/partners?cityCode={city}")["partners"]:
            alone = ask(f"/v1/partners/{partner['id']}")["partner"]
            held_parcels = str(alone.get("load", {}).get("parcels", 0))
            # Each may be given again for a moment after a change, by a tag of its own: then both are looked at again.
            found[partner["id"]] = held_parcels if alone == partner else f"{partner} listed, {alone} alone"
    return found


async def effects(stack: RunningStack) -> dict[str, list[int]]:
    """Return each made-up delivery's changes in the order in which they took effect."""
    connection = await asyncpg.connect(stack.dsn())
    rows = await connection.fetch("SELECT subject, sequence FROM public.effects ORDER BY place")
    await connection.close()
    return by_subject((row["subject"], row["sequence"]) for row in rows)


async def test_nothing_drifts_whatever_is_killed(stack: RunningStack, tmp_path: Path) -> None:
    chance, ops = random.Random(SEED), Rest(stack.base_url, stack.ops_api_key)
    cities, merchant = [ops.city(offerTtlS=5) for _ in range(CITIES)], ops.merchant()
    for city in cities:
        for place in range(6):
            acceptance = "ACCEPTANCE_AUTOMATIC" if place % 3 == 0 else "ACCEPTANCE_BY_OFFER"
            ops.partner(city, acceptance=acceptance)
    await make_tables(stack)
    install(tmp_path / "site", NEWCOMER, EFFECTS.replace("% 11 == 0", "% 97 == 0"))
    newcomer = ConsumerProcess(stack, tmp_path / "site", tmp_path / "newcomer.log")
    newcomer.start()
    load = Load(stack.dsn(), [new_city() for _ in range(MADE_UP_CITIES)], MADE_UP_EACH, WRITERS)
    shoppers = [Shopper(stack, cities, merchant, chance.randrange(2**32)) for _ in range(SHOPPERS)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            shopping = [group.create_task(asyncio.to_thread(shopper.run)) for shopper in shoppers]
            try:
                for place, fault in enumerate(chance.sample(FAULTS, len(FAULTS)), start=1):
                    made, commits = made_by(shoppers) + DELIVERIES_BETWEEN_FAULTS, COMMITS * place // (len(FAULTS) + 1)
                    await asyncio.to_thread(until, lambda: made_by(shoppers) >= made and load.committed >= commits, 120)  # noqa: B023 - awaited
                    await asyncio.to_thread(harm, stack, newcomer, fault)
                await asyncio.to_thread(until, lambda: load.committed >= COMMITS, 120)
            finally:
                load.stop.set()
                for shopper in shoppers:
                    shopper.over.set()
        assert all(task.done() for task in shopping)
        done = sum((shopper.done for shopper in shoppers), Counter[str]())
        assert all(done[what] for what in ("accept", "reject", "cancel", "record")), done
        before = compared(stack)["equal"]
        await asyncio.to_thread(until, lambda: compared(stack)["equal"] >= before + 2 * CITIES, QUIET_S_MAX)
        assert compared(stack)["drift"] == 0
        assert "the picture had drifted" not in stack.log_text()
        await all_took_effect(stack, load)
    finally:
        newcomer.stop()
    await the_cache_agrees(stack, cities)
    assert not await broken_invariants(stack.dsn())


async def all_took_effect(stack: RunningStack, load: Load) -> None:
    """Wait until the newcomer has seen everything, and see that it has seen it in order."""
    async with asyncio.timeout(QUIET_S_MAX):
        while sum(map(len, (found := await made_up_effects(stack, load)).values())) < load.committed:
            await asyncio.sleep(0.2)
    assert found == load.expected


async def made_up_effects(stack: RunningStack, load: Load) -> dict[str, list[int]]:
    own = {subject for subject, _ in load.subjects}
    return {subject: sequences for subject, sequences in (await effects(stack)).items() if subject in own}


async def the_cache_agrees(stack: RunningStack, cities: list[str]) -> None:
    """See that the lists answer from the cache, and what the database holds."""
    ops, sources = Rest(stack.base_url, stack.ops_api_key), Counter[str]()
    async with asyncio.timeout(QUIET_S_MAX):
        # Offers expire and deliveries are matched all the time: both sides are looked at in between two equal looks.
        while True:
            first = await held(stack, cities)
            found = await asyncio.to_thread(answered, ops, cities, sources)
            if first == await held(stack, cities) and found == first and sources["cache"]:
                return
            await asyncio.sleep(0.1)


def made_by(shoppers: list[Shopper]) -> int:
    return sum(len(shopper.made) for shopper in shoppers)


def harm(stack: RunningStack, newcomer: ConsumerProcess, fault: str) -> None:
    """Kill it, and wait until it is there again."""
    if fault == NEWCOMER:
        newcomer.kill(signal.SIGKILL)
        newcomer.start()
    else:
        stack.kill(fault)
        stack.wait_ready()

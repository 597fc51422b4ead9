"""Matchers share the cities: one that dies is replaced in seconds, and one that was thought dead commits nothing."""

import asyncio
import signal
import time
from collections.abc import Iterator

import asyncpg
import pytest

from libs.embedded.stack import RunningStack
from tests.invariants import broken_invariants
from tests.rest import Rest, until

MATCHERS = ("assignment-matcher-1", "assignment-matcher-2")
LEASE_TTL_S = 2.0
# The lease's time, the next renewal of the survivor, and a window: some seconds, and what a busy machine adds.
REPLACED_S_MAX = 90.0
CITIES = 4


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    settings = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_MATCHER_PROCESSES": "2",
        "LASTMILE_MATCHER_LEASE_TTL_S": str(LEASE_TTL_S),
        "LASTMILE_MATCHER_LEASE_RENEW_S": "0.5",
    }
    with RunningStack(tmp_path_factory.mktemp("leases") / "home", settings) as started:
        yield started


async def holders(stack: RunningStack, city_codes: list[str]) -> dict[str, tuple[str, int]]:
    """Who holds each city now, and under which fence."""
    connection = await asyncpg.connect(stack.dsn())
    try:
        rows = await connection.fetch(
            "SELECT city_code, holder::text, fence FROM assignment.city_leases"
            " WHERE holder IS NOT NULL AND expires_at > now() AND city_code = ANY ($1)",
            city_codes,
        )
    finally:
        await connection.close()
    return {row["city_code"]: (row["holder"], row["fence"]) for row in rows}


@pytest.fixture(scope="module")
def cities(stack: RunningStack) -> list[str]:
    """All the cities there are, so that each of two matchers has its fair share of these."""
    ops = Rest(stack.base_url, stack.ops_api_key)
    return [ops.city() for _ in range(CITIES)]


def add_partners(ops: Rest, cities: list[str]) -> None:
    """Give each city enough room for the test."""
    for city in cities:
        for _ in range(3):
            ops.partner(city, acceptance="ACCEPTANCE_AUTOMATIC")


def assigned_in_every_city(ops: Rest, cities: list[str], merchant: str) -> None:
    """Create a delivery in each city and wait until each has a partner."""
    waiting = [ops.delivery(city, merchant) for city in cities]
    until(lambda: all(ops.state(delivery) == "ASSIGNED" for delivery in waiting), REPLACED_S_MAX)


async def all_held(stack: RunningStack, cities: list[str], by_at_least: int) -> dict[str, tuple[str, int]]:
    """Wait until all the cities are held, by so many matchers between them."""
    found: dict[str, tuple[str, int]] = {}
    deadline_s = time.monotonic() + REPLACED_S_MAX
    while time.monotonic() < deadline_s:
        found = await holders(stack, cities)
        if len(found) == len(cities) and len({holder for holder, _ in found.values()}) >= by_at_least:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not all of {cities} are held by {by_at_least}: {found}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_other_matcher_takes_over_and_nothing_is_assigned_twice(
    stack: RunningStack, cities: list[str], number: signal.Signals
) -> None:
    ops = Rest(stack.base_url, stack.ops_api_key)
    merchant = ops.merchant()
    add_partners(ops, cities)
    before = await all_held(stack, cities, by_at_least=2)
    assigned_in_every_city(ops, cities, merchant)
    stack.kill(MATCHERS[0], number)
    try:
        assigned_in_every_city(ops, cities, merchant)
        after = await all_held(stack, cities, by_at_least=1)
    finally:
        if number is signal.SIGSTOP:
            stack.kill(MATCHERS[0], signal.SIGCONT)
    # Whoever changed hands did so under a new fence, which the one before cannot pass.
    moved = [city for city in cities if after[city][0] != before[city][0]]
    assert moved
    assert all(after[city][1] > before[city][1] for city in moved)
    stack.wait_ready()
    # The one that was stopped wakes up among windows it no longer holds; the one that died comes back.
    assigned_in_every_city(ops, cities, merchant)
    assert not await broken_invariants(stack.dsn())

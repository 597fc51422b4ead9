"""Redis and the standby are killed or stand still: commands commit, queries do what is left, and all recovers."""

import asyncio
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from libs.embedded.stack import RunningStack
from services.gateway.rest.limits import RestLimits
from tests.rest import Rest, until
from tests.standby import replay_paused

pytestmark = pytest.mark.timeout(600)
DOWN_S = 16
CHANNELS = RestLimits().channels
UNCACHED_PER_S, PRIMARY_PER_S, WINDOW_S = 5, 10, 6


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A platform that leaves a dead server alone for some seconds, with budgets that a test can spend."""
    told = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_RESTART_BACKOFF_S_MIN": str(DOWN_S),
        "LASTMILE_RESTART_BACKOFF_S_MAX": str(DOWN_S),
        "LASTMILE_ASSIGNMENT_CACHE__UNCACHED_PER_S_MAX": str(UNCACHED_PER_S),
        "LASTMILE_ASSIGNMENT_REPLICA__PRIMARY_QUERIES_PER_S_MAX": str(PRIMARY_PER_S),
        "LASTMILE_ASSIGNMENT_CACHE_WINDOWS__LIST_PARTNERS_S": str(WINDOW_S),
        # A kill resets connections at once; a machine that is busy for a moment is no outage.
        "LASTMILE_GATEWAY_CACHE__REDIS_TIMEOUT_MS": "2000",
        "LASTMILE_ASSIGNMENT_CACHE__REDIS_TIMEOUT_MS": "2000",
    }
    with RunningStack(tmp_path_factory.mktemp("outages") / "home", told) as started:
        yield started


@pytest.fixture
def ops(stack: RunningStack) -> Rest:
    return Rest(stack.base_url, stack.ops_api_key)


# One for all: a client for each request costs more than the request does.
HTTP = httpx.Client(timeout=30)


def look(rest: Rest, path: str, token: str = "") -> httpx.Response:
    headers = {"Authorization": rest.http.headers["Authorization"]} | ({"Consistency-Token": token} if token else {})
    return HTTP.get(f"{rest.base_url}{path}", headers=headers)


def source(rest: Rest, path: str) -> str:
    """Where the answer comes from; nowhere, while it is refused."""
    return str(look(rest, path).headers.get("Lastmile-Source", ""))


def listed(rest: Rest, path: str) -> list[str]:
    """The ids of the partners on a list; none while it is refused."""
    return [partner["id"] for partner in look(rest, path).json().get("partners", [])]


def many(rest: Rest, path: str, count: int, token: str = "") -> list[httpx.Response]:
    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(lambda _: look(rest, path, token), range(count)))


def new_merchant() -> dict[str, str]:
    return {"name": "Test", "reference": str(uuid.uuid4())}


def merchant(rest: Rest) -> None:
    """A command."""
    made = rest.ask("POST", "/v1/merchants", new_merchant())
    assert made.status_code == 200, made.text


@contextmanager
def killed(stack: RunningStack, name: str) -> Iterator[None]:
    """Have a server die; it is back some seconds later, and ready again after the block."""
    stack.kill(name, signal.SIGKILL)
    yield
    stack.wait_ready(90)


def answers_again(ops: Rest) -> None:
    """Wait until reads and commands get through on each of the gateway's channels: they are taken in turn."""
    until(lambda: all(look(ops, f"/v1/partners/{uuid.uuid4()}").status_code == 404 for _ in range(CHANNELS)))
    until(lambda: all(ops.ask("POST", "/v1/merchants", new_merchant()).status_code == 200 for _ in range(CHANNELS)))


def cached_list(ops: Rest, partners: int = 2) -> tuple[str, str]:
    """A city whose list of partners is in the cache, and the list's path."""
    city = ops.city()
    for _ in range(partners):
        ops.partner(city)
    path = f"/v1/partners?cityCode={city}"
    until(lambda: len(listed(ops, path)) == partners)
    until(lambda: source(ops, path) == "cache")
    return city, path


def test_without_redis_commands_commit_and_queries_go_to_the_standby_at_a_bounded_rate(
    stack: RunningStack, ops: Rest
) -> None:
    city, path = cached_list(ops)
    with killed(stack, "valkey"):
        began_s = time.monotonic()
        merchant(ops)
        added = ops.partner(city)
        answers = many(ops, path, 40)
        lasted_s = time.monotonic() - began_s
        assert lasted_s < DOWN_S / 2, "Redis was back before the test was through with its absence"
        merchant(ops)
    good = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.headers["Lastmile-Source"] for answer in good} <= {"standby"}
    assert 1 <= len(good) <= UNCACHED_PER_S * (lasted_s + 2)
    assert {answer.status_code for answer in refused} <= {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert {answer.json()["reason"] for answer in refused} <= {"CACHE_AWAY"}
    # What was kept before is not good any more, though its change came when nobody could be told.
    ids = until(lambda: listed(ops, path))
    assert added in ids, "the cache of the Redis that died has survived it"
    until(lambda: source(ops, path) == "cache")
    more = ops.partner(city)
    until(lambda: more in listed(ops, path))


def test_without_the_api_for_reads_commands_and_hot_answers_go_on(stack: RunningStack, ops: Rest) -> None:
    city, path = cached_list(ops)
    with killed(stack, "assignment-queries"):
        assert look(ops, path).headers["Lastmile-Source"] == "cache"
        merchant(ops)
        # This was not asked before.
        assert look(ops, f"/v1/deliveries?cityCode={city}").status_code == 503
        merchant(ops)
    answers_again(ops)
    assert look(ops, f"/v1/deliveries?cityCode={city}").status_code == 200


def test_without_the_api_for_commands_reads_go_on(stack: RunningStack, ops: Rest) -> None:
    city, path = cached_list(ops)
    with killed(stack, "assignment-api"):
        for read in (path, f"/v1/deliveries?cityCode={city}", "/v1/cities"):
            assert look(ops, read).status_code == 200
        refused = ops.ask("POST", "/v1/merchants", new_merchant())
        assert refused.status_code == 503
    answers_again(ops)


def test_without_a_standby_the_cache_then_the_primary_then_nobody_answers(stack: RunningStack, ops: Rest) -> None:
    city, path = cached_list(ops)
    delivery = f"/v1/deliveries/{ops.delivery(city, ops.merchant())}"
    until(lambda: look(ops, delivery).status_code == 200)
    with killed(stack, "postgres-standby"):
        killed_s = time.monotonic()
        # Within its window the cache goes on, outdated or not.
        ops.ask("POST", "/v1/partners", {})
        answer = look(ops, path)
        assert answer.status_code == 200, answer.text
        if time.monotonic() - killed_s < WINDOW_S - 3:
            assert answer.headers["Lastmile-Source"] == "cache"
        # What is not in the cache comes from the primary, a little at a time.
        answers = many(ops, delivery, 100)
        merchant(ops)
        found = Counter(answer.status_code for answer in answers)
        assert set(found) == {200, 503}, found
        spent_s = time.monotonic() - killed_s
        assert found[200] <= PRIMARY_PER_S * (spent_s + 2)
        assert {a.headers["Lastmile-Source"] for a in answers if a.status_code == 200} == {"primary"}
        assert all(int(a.headers["Retry-After"]) >= 1 for a in answers if a.status_code == 503)

    def is_back() -> bool:
        answer = look(ops, delivery)
        return answer.status_code == 200 and answer.headers["Lastmile-Source"] == "standby"

    until(is_back, 60)
    until(lambda: look(ops, path).headers.get("Lastmile-Source") in {"cache", "standby"}, 60)


def test_a_list_that_is_not_asked_for_in_time_is_too_old_for_an_outage(stack: RunningStack, ops: Rest) -> None:
    _, path = cached_list(ops)
    read = look(ops, path)
    assert int(read.headers["Lastmile-Age-Ms"]) <= (WINDOW_S + 2) * 1000
    with killed(stack, "postgres-standby"):
        # Commits make it older; the primary then answers in the cache's place.
        def from_primary() -> bool:
            merchant(ops)
            answer = look(ops, path)
            assert answer.status_code in {200, 503}
            if answer.status_code == 503:
                return False
            assert int(answer.headers["Lastmile-Age-Ms"]) <= (WINDOW_S + 2) * 1000
            return answer.headers["Lastmile-Source"] == "primary"

        until(from_primary, 30)


async def test_behind_a_callers_own_write_the_primary_answers_a_few_and_refuses_the_rest(
    stack: RunningStack, ops: Rest
) -> None:
    def spend() -> None:
        city = ops.city()
        delivery = f"/v1/deliveries/{ops.delivery(city, ops.merchant())}"
        token = ops.http.headers["Consistency-Token"]
        began_s = time.monotonic()
        answers = many(ops, delivery, 150, token)
        lasted_s = time.monotonic() - began_s
        found = Counter(answer.status_code for answer in answers)
        assert set(found) == {200, 503}, found
        assert found[200] <= PRIMARY_PER_S * (lasted_s + 2)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.json()["reason"] for answer in refused} == {"READ_BUDGET_SPENT"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        metrics = httpx.get(
            f"http://{stack.settings.host}:{stack.settings.assignment_queries_metrics_port}/metrics"
        ).text
        counts = dict(line.split() for line in metrics.splitlines() if line.startswith("lastmile_queries_"))
        asked = {name: float(count) for name, count in counts.items() if "on_primary_total" in name}
        # A standby that stays behind is given up after a while: from then on it counts as away.
        assert asked['lastmile_queries_on_primary_total{why="behind"}'] > 0
        assert sum(asked.values()) >= found[200]
        assert float(counts["lastmile_queries_refused_total"]) > 0
        merchant(ops)

    async with replay_paused(stack):
        await asyncio.to_thread(spend)
    path = f"/v1/deliveries?cityCode={await asyncio.to_thread(ops.city)}"

    def is_back() -> bool:
        answer = ops.ask("GET", path)
        return answer.status_code == 200 and answer.headers["Lastmile-Source"] == "standby"

    await asyncio.to_thread(until, is_back)

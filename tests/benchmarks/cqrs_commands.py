"""Commands beside the reads of 2,000 dashboards: alone, beside a peer that answers as many reads, beside the product's.

The company has 25 cities. In each, 20 operators have a list open, of the city's deliveries or its partners; and 375
merchants have 4 people each who have the merchant's deliveries open. Each looks every ten seconds, 200 looks a second
in all: what happens is told by live events, and a look only finds what they missed (see `dashboards`). Meanwhile
deliveries come in for all merchants and cities, ten a second: a day of 280,000 has three, and about eight in an hour
that has a tenth of them. They are matched, and outdate the lists: about a quarter of the looks find something new.
Everybody has an access token, as whoever calls often.

One machine runs everything here, so what a command takes depends on the others on it. Each round has all three in turn,
and what counts is the median of the rounds' ratios. The peer's says how much the load itself moves a command, and the
kernel that carries it, whoever answers.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from itertools import cycle

from libs.embedded.stack import RunningStack
from tests.benchmarks.dashboards import Looks, Watchers
from tests.benchmarks.http_client import Connection, request_of
from tests.benchmarks.http_peer import HttpPeer
from tests.benchmarks.report import Row, lower
from tests.rest import CENTER, Json, Rest, details

CITIES, OPERATORS_EACH, MERCHANTS, PEOPLE_EACH = 25, 20, 375, 4
PARTNERS_EACH = 40
LOOK_EVERY_S, ROWS_SHOWN = 10.0, 20
COMMANDS_PER_S, CONNECTIONS = 10, 8
# A p99 of 200 commands each.
ROUNDS, ROUND_S = 5, 20.0
MOVED_MAX = 1.2
ALONE, PEER, BESIDE = "alone", "beside the peer", "beside the reads"


class Company:
    """Cities, partners and merchants. `lists` are those that are open: the path of each, and who looks at it."""

    def __init__(self, stack: RunningStack) -> None:
        rest = Rest(stack.base_url, stack.ops_api_key)
        cities = [rest.city(windowMs=500) for _ in range(CITIES)]
        for city in cities:
            rest.post("/v1/partners:batchOnboard", {"requests": [_partner(city)] * PARTNERS_EACH})
        merchants = [rest.merchant() for _ in range(MERCHANTS)]
        made = {"name": "bench", "role": "ROLE_MERCHANT"}
        keys = [rest.post("/v1/apiKeys", made | {"merchantId": merchant})["secret"] for merchant in merchants]
        every_key = (stack.ops_api_key, *keys)
        operator, *tokens = [rest.post("/v1/tokens", {"apiKey": key})["accessToken"] for key in every_key]
        self.lists = [
            (f"/v1/{('deliveries', 'partners')[number % 2]}?cityCode={city}&pageSize={ROWS_SHOWN}", operator)
            for city in cities
            for number in range(OPERATORS_EACH)
        ]
        self.lists += [(f"/v1/deliveries?pageSize={ROWS_SHOWN}", token) for token in tokens for _ in range(PEOPLE_EACH)]
        self._url = stack.base_url
        self._orders = cycle(zip(cycle(cities), tokens, strict=False))

    def next_command(self) -> bytes:
        """Return the request that creates the next delivery."""
        city, token = next(self._orders)
        return request_of(self._url, "/v1/deliveries", token, json.dumps({"details": details(city)}).encode())


def _partner(city: str) -> Json:
    profile = {
        "displayName": "Asha",
        "cityCode": city,
        "vehicle": "VEHICLE_CAR",
        # For every delivery of a run.
        "capacity": {"parcelsMax": 50, "weightGMax": "200000", "volumeCm3Max": "2000000", "sideMmMax": 1500},
        "home": CENTER,
        "acceptance": "ACCEPTANCE_AUTOMATIC",
    }
    return {"profile": profile, "availability": "AVAILABILITY_ONLINE"}


async def commands_ms(url: str, company: Company, seconds: float) -> list[float]:
    """Return, sorted, how long each command took, of a steady few a second: they do not wait for one another."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await Connection.open(url))
    found: list[float] = []

    async def send() -> None:
        request, started_s = company.next_command(), time.perf_counter()
        connection = await free.get()
        answer = await connection.ask(request)
        found.append((time.perf_counter() - started_s) * 1_000)
        assert answer.status == 200, answer
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for _ in range(int(seconds * COMMANDS_PER_S)):
            group.create_task(send())
            await asyncio.sleep(1 / COMMANDS_PER_S)
    for _ in range(CONNECTIONS):
        (await free.get()).close()
    return sorted(found)


def p99(values: Sequence[float]) -> float:
    """Return the value below which are 99 of 100."""
    return sorted(values)[int(len(values) * 0.99)]


async def rows(stack: RunningStack) -> list[Row]:
    """Measure, and return the figures."""
    company = await asyncio.to_thread(Company, stack)
    ways_ms: dict[str, list[list[float]]] = {ALONE: [], PEER: [], BESIDE: []}
    looks: dict[str, list[Looks]] = {PEER: [], BESIDE: []}
    with (
        HttpPeer() as peer,
        Watchers(peer.url, company.lists, LOOK_EVERY_S) as elsewhere,
        Watchers(stack.base_url, company.lists, LOOK_EVERY_S) as here,
    ):
        sides = {ALONE: None, PEER: elsewhere, BESIDE: here}
        for number in range(-1, ROUNDS):
            for name, watchers in sides.items():
                found, seen = await _side(stack.base_url, company, watchers)
                # The first round makes what the others find made.
                if number >= 0:
                    ways_ms[name].append(found)
                    looks.get(name, []).extend(seen)
    return _rows(ways_ms, looks)


async def _side(url: str, company: Company, watchers: Watchers | None) -> tuple[list[float], list[Looks]]:
    """Measure, once every dashboard has looked: what it has then is as old as it is in the middle of a day."""
    if watchers is None:
        await commands_ms(url, company, LOOK_EVERY_S)
        return await commands_ms(url, company, ROUND_S), []
    await asyncio.gather(watchers.look(LOOK_EVERY_S), commands_ms(url, company, LOOK_EVERY_S))
    seen, found = await asyncio.gather(watchers.look(ROUND_S), commands_ms(url, company, ROUND_S))
    return found, [seen]


def _rows(ways_ms: dict[str, list[list[float]]], looks: dict[str, list[Looks]]) -> list[Row]:
    found: list[Row] = []
    for name, seen in looks.items():
        answers = sum(one.answers for one in seen)
        what = f"reads, {name}"
        found += [
            Row(what, answers / ROUND_S / ROUNDS, "req/s"),
            Row(f"{what}: unchanged", sum(one.unchanged for one in seen) / answers * 100, "%"),
            Row(f"{what}: refused or late", sum(one.not_good for one in seen) / answers * 100, "%"),
            Row(f"{what}: p99", p99([way for one in seen for way in one.ways_ms]), "ms"),
            Row(f"{what}: the dashboards' own CPU", sum(one.cpu_s for one in seen) / answers * 1e6, "us/req"),
        ]
    for name, rounds in ways_ms.items():
        every = [way for ways in rounds for way in ways]
        found.append(Row(f"command p50 {name}", statistics.median(every), "ms"))
        found.append(Row(f"command p99 {name}", p99(every), "ms"))
    alone = [p99(ways) for ways in ways_ms[ALONE]]
    for name in (PEER, BESIDE):
        ratios = [p99(ways) / base for ways, base in zip(ways_ms[name], alone, strict=True)]
        what = f"command p99 {name}, times that alone, median of {ROUNDS}"
        moved = statistics.median(ratios)
        found.append(lower(what, moved, "times", "target", MOVED_MAX) if name == BESIDE else Row(what, moved, "times"))
    return found

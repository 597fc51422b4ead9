"""The matcher's pictures: windows built from memory and from the database, cities made anew, what idling asks."""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import asyncpg
import redis.asyncio as redis
import uvloop

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from services.assignment.cities import store as cities_store
from services.assignment.cities.city import City, MatchingPolicy
from services.assignment.deliveries.delivery import Delivery, Details, Point
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.deliveries.store import NewDelivery
from services.assignment.deliveries.store import create as create_deliveries
from services.assignment.merchants import store as merchants_store
from services.assignment.merchants.merchant import Merchant
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, NewOffer
from services.assignment.offers.store import transition
from services.assignment.partners import store as partners_store
from services.assignment.partners.partner import Capacity, Load, Partner, Profile, Slot
from services.assignment.partners.positions import Position
from services.assignment.picture.columns import WindowLimits, taken
from services.assignment.picture.keeper import CityKeeper, CompanyKeeper
from services.assignment.picture.source import Source
from services.assignment.windows.matcher import run_matcher
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.window import problem_of
from tests.benchmarks.report import Row, higher, lower, report

PARTNERS, HELD, PENDING = 3_000, 5_000, 300
IDLE_CITIES, WARM_S, IDLE_S = 25, 5, 20
MAKE_MS_MAX, BUILD_MS_MAX = 2_000.0, 20.0
CHANGED_BETWEEN_WINDOWS = 100
SEED = 7
NOW = datetime.now(UTC)
Item = TypeVar("Item")
_TRANSACTIONS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


def partner_of(city: City, chance: random.Random) -> Partner:
    profile = Profile(
        reference="",
        display_name="Asha",
        city_code=city.code,
        vehicle=chance.choice(["bicycle", "motorcycle", "van"]),
        capacity=Capacity(6, 60_000, 400_000, 900),
        home=spot(city, chance),
        preferred_zones=("tdr1", "tdr4") if chance.random() < 0.3 else (),
        acceptance="automatic",
        rating=round(chance.uniform(3, 5), 1),
    )
    slots = (Slot(NOW - timedelta(hours=1), NOW + timedelta(hours=7)),) if chance.random() < 0.5 else ()
    return Partner(new_id(), profile, "online", slots, Load(), 1, NOW, NOW)


def delivery_of(city: City, merchant: Merchant, chance: random.Random) -> Delivery:
    details = Details(
        merchant_id=merchant.id,
        merchant_reference="",
        city_code=city.code,
        pickup=spot(city, chance),
        drop=spot(city, chance),
        length_mm=300,
        width_mm=200,
        height_mm=150,
        weight_g=chance.randint(200, 5_000),
        ready_at=NOW,
        drop_from=NOW,
        drop_until=NOW + timedelta(hours=2),
        declared_value=None,
        cash_on_delivery=None,
        vehicles=(),
    )
    return Delivery(new_id(), details, DeliveryState.PENDING, None, "", NOW, 1, 0, NOW, NOW, NOW)


def spot(city: City, chance: random.Random) -> Point:
    return Point(city.center_lat + chance.gauss(0, 0.05), city.center_lng + chance.gauss(0, 0.05))


async def fill(connection: asyncpg.Connection, city: City, chance: random.Random) -> None:
    """Partners, deliveries that they hold, and deliveries that wait."""
    merchant = Merchant(new_id(), "Bench", str(new_id()), NOW)
    await merchants_store.create(connection, merchant, "{}")
    partners = [partner_of(city, chance) for _ in range(PARTNERS)]
    for some in parts_of(partners, 500):
        await partners_store.onboard(connection, some)
    held = [delivery_of(city, merchant, chance) for _ in range(HELD)]
    waiting = [delivery_of(city, merchant, chance) for _ in range(PENDING)]
    for some in parts_of([*held, *waiting], 500):
        await create_deliveries(connection, [NewDelivery(row, Actor.OPS, "{}") for row in some])
    offers = [
        Move(
            row.id, DeliveryState.ASSIGNED, Actor.MATCHER,
            new_offer=NewOffer(new_id(), partners[n % PARTNERS].id, new_id(), 1.0, None, 2.0 * n, 2.0 * n + 1),
        )
        for n, row in enumerate(held)
    ]  # fmt: skip
    for some in parts_of(offers, 500):
        async with connection.transaction():
            await transition(connection, some, NOW, moved_event)
    await connection.execute("ANALYZE")


def parts_of(rows: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def median_ms(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        started_s = time.perf_counter()
        work()
        found.append((time.perf_counter() - started_s) * 1_000)
    return statistics.median(found)


async def built(keeper: CityKeeper, city: City, settings: MatcherSettings, chance: random.Random) -> list[Row]:
    """How long a window takes until its problem stands."""
    picture, limits = keeper.picture, WindowLimits(20_000, 4_000_000, PENDING, 4_000, 28_800.0, 60.0, 60.0)
    await keeper.company.know_lists({live.merchant_id for live in picture.due(time.time(), PENDING)})
    seen = {partner.id: Position(partner.profile.home.lat, partner.profile.home.lng, 0) for partner in picture.partners}

    def build() -> None:
        window = taken(picture, keeper.company.company, limits, time.time())
        assert window is not None
        problem, _ = problem_of(city, window, seen, settings, datetime.now(UTC))
        assert (len(problem.packages), len(problem.partners)) == (PENDING, PARTNERS)

    def build_after_changes() -> None:
        for partner_id in chance.sample(list(picture.held), CHANGED_BETWEEN_WINDOWS):
            picture.moved.add(partner_id)
        build()

    build()
    memory_ms = median_ms(build_after_changes, 15)
    made_ms = []
    for _ in range(7):
        started_s = time.perf_counter()
        await keeper.rebuild("bench")
        picture = keeper.picture
        made_ms.append((time.perf_counter() - started_s) * 1_000)
        build()
    made = statistics.median(made_ms)
    size = f"{PENDING} x {PARTNERS:,}"
    return [
        lower(f"window of {size} from the picture", memory_ms, "ms", "target", BUILD_MS_MAX),
        lower(f"city of {PARTNERS:,} partners, {HELD + PENDING:,} deliveries made", made, "ms", "target", MAKE_MS_MAX),
        higher("times as long from the database", (made + memory_ms) / memory_ms, "times", "target", 5.0),
    ]


async def idle_per_s(servers: EmbeddedServers, connection: asyncpg.Connection, settings: MatcherSettings) -> float:
    """Return the transactions a second of a matcher of cities where nothing happens."""

    async def made(seconds: float) -> float:
        """Return the transactions a second until they have passed; the servers flush what they count once a second."""
        before, began_s = int(await connection.fetchval(_TRANSACTIONS)), time.monotonic()
        while (passed_s := time.monotonic() - began_s) < seconds:
            await asyncio.sleep(0.5)
        return (int(await connection.fetchval(_TRANSACTIONS)) - before) / passed_s

    stop = asyncio.Event()
    alone = await made(IDLE_S)
    running = asyncio.create_task(run_matcher(settings, stop))
    await made(WARM_S)
    beside = await made(IDLE_S)
    stop.set()
    await running
    return beside - alone


async def measure(servers: EmbeddedServers) -> list[Row]:
    chance = random.Random(SEED)
    ports = free_ports(2)
    settings = MatcherSettings(
        matcher_port=ports[0],
        matcher_metrics_port=ports[1],
        matcher_dsn=servers.dsn("assignment_matcher"),
        redis_url=servers.redis_url,
    )
    connection = await asyncpg.connect(servers.dsn())
    city = City("BENCH", "Bench", "Asia/Kolkata", 12.97, 77.59, 30_000, MatchingPolicy(), 1, NOW)
    for number in range(IDLE_CITIES):
        await cities_store.create(connection, replace(city, code=f"IDLE{number}"), "{}")
    async with redis.from_url(servers.redis_url) as client:
        await client.sadd("lastmile:events:epochs", 1)
    print("idle", file=sys.stderr)
    idle = await idle_per_s(servers, connection, settings)
    print("filling", file=sys.stderr)
    await cities_store.create(connection, city, "{}")
    await fill(connection, city, chance)
    async with await create_pool(servers.dsn("assignment_matcher"), PoolLimits(), "bench") as pool:
        company = CompanyKeeper(pool)
        await company.rebuild()
        keeper = CityKeeper(Source(pool), city.code, company)
        await keeper.rebuild("bench")
        rows = await built(keeper, city, settings, chance)
    await connection.close()
    return [*rows, lower(f"transactions of an idle matcher of {IDLE_CITIES} cities", idle, "1/s", "target", 5.0)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home") as servers:
        rows = uvloop.run(measure(servers))
    report("picture", rows)


if __name__ == "__main__":
    main()

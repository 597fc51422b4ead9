"""Ledger: deliveries' events booked by the consumer in batches, triggers and all, on the embedded PostgreSQL."""

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import asyncpg

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from libs.streams.codec import Event
from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.ledger.postings import EARNINGS
from services.reconciliation.ledger.store import balance
from services.reconciliation.rate_cards import store as rate_cards
from tests.benchmarks.report import Row, higher, report
from tests.ledger import SCOPE, card
from tests.ledger_events import Told

CITY, DELIVERIES, ROUNDS, BATCH_EVENTS = "BLR", 2_000, 3, 200
# What a holiday week asks of the ledger on average: 2.8 million deliveries with six events each.
HOLIDAY_EVENTS_PER_S = 2_800_000 * 6 / (7 * 86_400)


def interleaved(told: list[Told]) -> list[Event]:
    """The events of many deliveries at once, as a city's stream has them."""
    steps = max(len(one.events) for one in told)
    return [one.events[step] for step in range(steps) for one in told]


def batches_of(events: list[Event]) -> list[list[Event]]:
    return [events[start : start + BATCH_EVENTS] for start in range(0, len(events), BATCH_EVENTS)]


async def measure(servers: EmbeddedServers) -> None:
    owner = await asyncpg.connect(servers.dsn())
    await rate_cards.create(owner, card(id=new_id(), scope=replace(SCOPE, city_code=CITY)))
    async with await create_pool(
        servers.dsn("reconciliation_consumer"), PoolLimits(connections_max=4), "bench"
    ) as pool:
        ledger, wall_s, cpu_s = Ledger(pool), [], []
        for _ in range(ROUNDS):
            told = [Told(CITY) for _ in range(DELIVERIES)]
            for batch in batches_of([one.partner_event for one in told]):
                await ledger.handle(batch)
            batches = batches_of(interleaved(told))
            started_s, started_cpu_s = time.perf_counter(), time.process_time()
            for batch in batches:
                await ledger.handle(batch)
            wall_s.append(time.perf_counter() - started_s)
            cpu_s.append(time.process_time() - started_cpu_s)
        began_s = time.perf_counter()
        async with pool.acquire() as connection:
            _, postings = await balance(connection, EARNINGS, await connection.fetchval("SELECT now()"))
        balance_ms = (time.perf_counter() - began_s) * 1000
    assert postings == DELIVERIES * ROUNDS
    await owner.close()
    events = DELIVERIES * 6
    holiday = "a holiday week's average"
    report(
        "ledger",
        [
            higher(
                "events booked, one process, best round", events / min(wall_s), "1/s", holiday, HOLIDAY_EVENTS_PER_S
            ),
            Row("the process's own time for an event", min(cpu_s) / events * 1e6, "us"),
            Row("balance of an account of 6,000 postings", balance_ms, "ms"),
        ],
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home") as servers:
        asyncio.run(measure(servers))


if __name__ == "__main__":
    main()

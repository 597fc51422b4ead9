"""Ledger consumers are killed while they book a city's deliveries: each is paid once all the same, and all balances."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from services.reconciliation.rate_cards import store as rate_cards
from tests.events import Writer, new_city
from tests.invariants import broken_invariants
from tests.ledger import SCOPE, STORY, card
from tests.ledger_events import Told, content_of

SEED = 6
DELIVERIES, CANCELLED_EVERY, TWICE_EVERY = 400, 10, 7
KILLS = 5
DEADLINE_S = 150.0
_SEEN = "SELECT count(*) FROM reconciliation.seen_events"
_WAITING = "SELECT count(*) FROM reconciliation.deliveries WHERE waits_for IS NOT NULL"


class LedgerConsumer:
    """`python -m services.reconciliation consumer` that is quick to take over."""

    def __init__(self, servers: EmbeddedServers, log: Path) -> None:
        ports = free_ports(2)
        told = {
            "reconciliation_consumer_port": str(ports[0]),
            "reconciliation_consumer_metrics_port": str(ports[1]),
            "reconciliation_consumer_dsn": servers.dsn("reconciliation_consumer"),
            "redis_url": servers.redis_url,
            "reconciliation_consumer__batch_events_max": "25",
            "reconciliation_consumer__lease_ttl_s": "1.5",
            "reconciliation_consumer__lease_renew_s": "0.3",
            "reconciliation_waiting__look_every_s": "0.5",
        }
        self._environment = os.environ | {f"LASTMILE_{name.upper()}": value for name, value in told.items()}
        self._log = log
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "services.reconciliation", "consumer"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def end(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.wait(60)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("killed-ledger") / "home") as started:
        yield started


@pytest.fixture
def consumers(servers: EmbeddedServers, tmp_path: Path) -> Iterator[list[LedgerConsumer]]:
    started = [LedgerConsumer(servers, tmp_path / f"consumer-{number}.log") for number in range(2)]
    yield started
    for consumer in started:
        consumer.end(signal.SIGTERM)


async def publish(client: redis.Redis, city_code: str, chance: random.Random) -> list[Told]:
    """Deliveries of a day, some cancelled after their hand-over, some events told twice."""
    cancelled = (*STORY, "cancelled")
    told = [Told(city_code, STORY if n % CANCELLED_EVERY else cancelled) for n in range(DELIVERIES)]
    events = [one.partner_event for one in told]
    events += [one.events[step] for step in range(len(cancelled)) for one in told if step < len(one.events)]
    contents = [content_of(event) for event in events]
    again = [
        (chance.randrange(place, len(contents)), contents[place]) for place in range(0, len(contents), TWICE_EVERY)
    ]
    for place, content in sorted(again, reverse=True, key=lambda found: found[0]):
        contents.insert(place + 1, content)
    await Writer(client, city_code).append(*contents)
    return told


async def booked(owner: asyncpg.Connection) -> Counter[str]:
    rows = await owner.fetch("SELECT kind::text, count(*) FROM reconciliation.entries GROUP BY kind")
    return Counter({row["kind"]: row["count"] for row in rows})


async def test_each_delivery_is_paid_once_whoever_is_killed_when(
    servers: EmbeddedServers, consumers: list[LedgerConsumer]
) -> None:
    chance, city_code = random.Random(SEED), new_city()
    owner = await asyncpg.connect(servers.dsn())
    await rate_cards.create(owner, card(id=new_id(), scope=replace(SCOPE, city_code=city_code)))
    async with redis.from_url(servers.redis_url) as client:
        told = await publish(client, city_code, chance)
        events, kills = sum(1 + len(one.events) for one in told), 0
        async with asyncio.timeout(DEADLINE_S):
            while (seen := await owner.fetchval(_SEEN)) < events or await owner.fetchval(_WAITING):
                if kills < KILLS and seen > (kills + 1) * events // (KILLS + 2):
                    consumer = chance.choice(consumers)
                    consumer.end(signal.SIGKILL)
                    consumer.start()
                    kills += 1
                await asyncio.sleep(0.02)
    assert kills == KILLS
    entries = await booked(owner)
    # A cancellation that comes in the batch of its hand-over leaves nothing to undo.
    assert entries["earnings"] - entries["reversal"] == DELIVERIES - DELIVERIES // CANCELLED_EVERY
    rows = await owner.fetch("SELECT account, sum(paise) FROM reconciliation.postings GROUP BY account")
    balances = Counter({row["account"]: int(row["sum"]) for row in rows})
    assert sum(balances.values()) == 0
    owed = Counter(balances[f"partner:{one.partner_id}"] for one in told)
    assert owed == Counter({-10_671: DELIVERIES - DELIVERIES // CANCELLED_EVERY, 0: DELIVERIES // CANCELLED_EVERY})
    assert await broken_invariants(servers.dsn()) == {}
    await owner.close()

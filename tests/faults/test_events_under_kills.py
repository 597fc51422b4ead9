"""Relays and consumers are killed or stalled, Redis dies and loses the end of its file, in a seeded order, under load.

Every event is in its stream once; every consumer takes effect for it once, in the order of its aggregate.
"""

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from services.assignment.events import LOG_PREFIX
from tests.append_only_file import AppendOnlyFile
from tests.events import event_bytes, new_city
from tests.newcomer import ConsumerProcess, install, make_tables
from tests.relays import RelayProcess, entries, events, until

pytestmark = pytest.mark.timeout(600)
SEED = 20_261_125
CONSUMERS = ("effects_one", "effects_two")
CITIES, DELIVERIES_EACH = 4, 40
FAULTS = ["relay", "redis", "consumer", "redis", "stalled relay", "stalled consumer"] * 2
COMMITS_BETWEEN_FAULTS = 500
WRITERS = 4
DEADLINE_S = 180.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A supervisor that leaves a dead Redis alone for long enough to cut its file."""
    told = {"LASTMILE_RESTART_BACKOFF_S_MIN": "2", "LASTMILE_RESTART_BACKOFF_S_MAX": "2"}
    with EmbeddedServers(tmp_path_factory.mktemp("killed-events") / "home", told) as started:
        yield started


class Load:
    """Commits change after change of every delivery until it is told to stop, and counts them."""

    def __init__(self, dsn: str, cities: list[str]) -> None:
        self._dsn = dsn
        self.subjects = [(f"deliveries/{city}-{n}", city) for city in cities for n in range(DELIVERIES_EACH)]
        self.changes = dict.fromkeys((subject for subject, _ in self.subjects), 0)
        self.stop = asyncio.Event()

    @property
    def committed(self) -> int:
        return sum(self.changes.values())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for place in range(WRITERS):
                group.create_task(self._write(self.subjects[place::WRITERS]))

    async def _write(self, subjects: list[tuple[str, str]]) -> None:
        connection = await asyncpg.connect(self._dsn)
        while not self.stop.is_set():
            for subject, city in subjects:
                async with connection.transaction():
                    change = event_bytes(subject, self.changes[subject] + 1, city)
                    await emit(connection, LOG_PREFIX, [change.decode()])
                self.changes[subject] += 1
        await connection.close()


class Stage:
    """What is killed, and comes back."""

    def __init__(self, servers: EmbeddedServers, folder: Path) -> None:
        self.servers, self.file = servers, AppendOnlyFile(servers)
        # The streams are compared with what was committed: nothing may be trimmed.
        kept = {"relay_retention__stream_events_kept": "1000000"}
        self.relays = [RelayProcess(servers, folder / f"relay-{n}.log", **kept) for n in range(2)]
        for name in CONSUMERS:
            install(folder / "site", name)
        told = {"assignment_consumer__lease_ttl_s": "2", "assignment_consumer__lease_renew_s": "0.5"}
        self.consumers = [
            ConsumerProcess(servers, folder / "site", folder / f"consumer-{n}.log", **told) for n in range(2)
        ]
        for process in (*self.relays, *self.consumers):
            process.start()
        self.cut = 0
        self._stalled: list[RelayProcess | ConsumerProcess] = []

    def harm(self, what: str, chance: random.Random) -> None:
        """Do it. What stalls goes on at the next fault, long after others took its work over."""
        while self._stalled:
            self._stalled.pop().send(signal.SIGCONT)
        if what == "redis":
            with redis.Redis.from_url(self.servers.redis_url) as client:
                until(lambda: _answers(client))
            self.servers.kill("valkey")
            self.cut += self.file.cut()
            return
        process: RelayProcess | ConsumerProcess = chance.choice(self.relays if "relay" in what else self.consumers)
        if "stalled" in what:
            process.send(signal.SIGSTOP)
            self._stalled.append(process)
        else:
            process.kill()
            process.start()

    def stop(self) -> None:
        self.file.close()
        while self._stalled:
            self._stalled.pop().send(signal.SIGCONT)
        for process in (*self.consumers, *self.relays):
            process.stop()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


async def effects(servers: EmbeddedServers, consumer: str) -> dict[str, list[int]]:
    """Each subject's sequences in the order in which they took effect."""
    connection = await asyncpg.connect(servers.dsn())
    query = "SELECT subject, sequence FROM public.effects WHERE consumer = $1 ORDER BY place"
    rows = await connection.fetch(query, consumer)
    await connection.close()
    found = defaultdict(list)
    for row in rows:
        found[row["subject"]].append(row["sequence"])
    return dict(found)


async def all_took_effect(servers: EmbeddedServers, committed: int) -> bool:
    connection = await asyncpg.connect(servers.dsn())
    rows = await connection.fetch("SELECT consumer, count(*) AS effects FROM public.effects GROUP BY 1")
    await connection.close()
    return {row["consumer"]: row["effects"] for row in rows} == dict.fromkeys(CONSUMERS, committed)


async def test_every_event_takes_effect_once_and_in_order_whatever_is_killed(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    await make_tables(servers)
    connection = await asyncpg.connect(servers.dsn())
    # A leader that stalls is given up after this.
    await connection.execute("ALTER SYSTEM SET wal_sender_timeout = '2s'")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    chance = random.Random(SEED)
    cities = [new_city() for _ in range(CITIES)]
    load, stage = Load(servers.dsn(), cities), Stage(servers, tmp_path)
    try:
        writing = asyncio.create_task(load.run())
        for what in chance.sample(FAULTS, len(FAULTS)):
            before = load.committed
            while load.committed < before + COMMITS_BETWEEN_FAULTS:
                assert not writing.done()
                await asyncio.sleep(0.01)
            await asyncio.to_thread(stage.harm, what, chance)
        load.stop.set()
        await writing
        stage.harm("redis", chance)
        async with asyncio.timeout(DEADLINE_S):
            while not await all_took_effect(servers, load.committed):
                await asyncio.sleep(0.2)
        assert stage.cut > 0
        expected = {subject: list(range(1, changes + 1)) for subject, changes in load.changes.items()}
        for name in CONSUMERS:
            assert await effects(servers, name) == expected
        with redis.Redis.from_url(servers.redis_url) as client:
            until(lambda: sum(len(entries(client, city)) for city in cities) == load.committed)
            published = defaultdict(list)
            for city in cities:
                for event in events(client, city):
                    published[event.subject].append(event.message.sequence)
        assert published == expected
    finally:
        stage.stop()

"""Relays and consumers are killed or stalled, Redis dies and loses the end of its file, the standby dies, under load.

Every event is in its stream once; every consumer takes effect for it once, in the order of its aggregate.
"""

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from tests.append_only_file import AppendOnlyFile
from tests.commits import Load, by_subject
from tests.events import new_city
from tests.newcomer import EFFECTS, ConsumerProcess, install, make_tables
from tests.relays import RelayProcess, events, stream_of, until

pytestmark = pytest.mark.timeout(600)
SEED = 20_261_125
CONSUMERS = ("effects_one", "effects_two")
CITIES, DELIVERIES_EACH = 4, 40
FAULTS = ["relay", "redis", "consumer", "standby", "redis", "stalled relay", "stalled consumer"] * 2
COMMITS = 50_000
WRITERS = 16
# So many events must fail once: as many tries as that takes, and the rest is done in whole batches.
FAILS_ONCE = "% 97 == 0"
DEADLINE_S = 180.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A supervisor that leaves a dead Redis alone for long enough to cut its file."""
    told = {"LASTMILE_RESTART_BACKOFF_S_MIN": "2", "LASTMILE_RESTART_BACKOFF_S_MAX": "2"}
    with EmbeddedServers(tmp_path_factory.mktemp("killed-events") / "home", told) as started:
        yield started


class Stage:
    """What is killed, and comes back."""

    def __init__(self, servers: EmbeddedServers, folder: Path) -> None:
        self.servers, self.file = servers, AppendOnlyFile(servers)
        # The streams are compared with what was committed: nothing may be trimmed.
        kept = {"relay_retention__stream_events_kept": "1000000"}
        self.relays = [RelayProcess(servers, folder / f"relay-{n}.log", **kept) for n in range(2)]
        for name in CONSUMERS:
            install(folder / "site", name, EFFECTS.replace("% 11 == 0", FAILS_ONCE))
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
        if what == "standby":
            until(self._standby_runs)
            self.servers.kill("postgres-standby")
            return
        process: RelayProcess | ConsumerProcess = chance.choice(self.relays if "relay" in what else self.consumers)
        if "stalled" in what:
            process.send(signal.SIGSTOP)
            self._stalled.append(process)
        else:
            process.kill()
            process.start()

    def _standby_runs(self) -> bool:
        state = self.servers.process("postgres-standby")
        return state.state == "ready" and state.is_live

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
    return by_subject((row["subject"], row["sequence"]) for row in rows)


def out_of_order(found: dict[str, list[int]], expected: dict[str, list[int]]) -> dict[str, list[int]]:
    """What differs, around the first place where it does."""
    wrong = {}
    for subject, sequences in expected.items():
        got = found.get(subject, [])
        if got != sequences:
            place = next(
                (n for n, pair in enumerate(zip(got, sequences, strict=False)) if pair[0] != pair[1]), len(got)
            )
            wrong[subject] = got[max(0, place - 3) : place + 8]
    return wrong


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
    load, stage = Load(servers.dsn(), cities, DELIVERIES_EACH, WRITERS), Stage(servers, tmp_path)
    try:
        writing = asyncio.create_task(load.run())
        for place, what in enumerate(chance.sample(FAULTS, len(FAULTS)), start=1):
            while load.committed < COMMITS * place // (len(FAULTS) + 1):
                assert not writing.done()
                await asyncio.sleep(0.01)
            await asyncio.to_thread(stage.harm, what, chance)
        while load.committed < COMMITS:
            await asyncio.sleep(0.01)
        load.stop.set()
        await writing
        stage.harm("redis", chance)
        async with asyncio.timeout(DEADLINE_S):
            while not await all_took_effect(servers, load.committed):
                await asyncio.sleep(0.2)
        assert stage.cut > 0
        for name in CONSUMERS:
            assert out_of_order(await effects(servers, name), load.expected) == {}
        with redis.Redis.from_url(servers.redis_url) as client:
            until(lambda: sum(client.xlen(stream_of(client, city)) for city in cities) == load.committed)
            published = [event for city in cities for event in events(client, city)]
        assert by_subject((event.subject, event.message.sequence) for event in published) == load.expected
    finally:
        stage.stop()

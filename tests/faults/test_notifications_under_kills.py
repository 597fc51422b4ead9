"""Planners and senders killed again and again while two providers fail in every way: no message is sent twice.

The providers' own records are the proof: they were asked over real sockets, by processes as production runs them. One
of them hangs for a while, until its circuit opens and the other carries everything.
"""

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from tests.events import Writer
from tests.notifications import Notifications, Story, notifications_on
from tests.peers.twilio import Fault, TakenMessage, TwilioPeer, twilio_peer
from tests.workers import LIMITS, QUICK, Worker, counts

# Beside the telling of all events and the start of the servers.
pytestmark = pytest.mark.timeout(600)
# Of two events each.
DELIVERIES, KILLS, DEADLINE_S = 5_000, 12, 240.0
# The first provider hangs once it has taken so many, until the second has taken so many more.
HANGS_AFTER, HANGS_FOR = 800, 400
# One in twenty of each kind that nobody can tell from the others, and some that can be told.
FAULTS = [
    *[Fault.TAKEN_THEN_HANG, Fault.TAKEN_THEN_RESET, Fault.TAKEN_THEN_GARBAGE, Fault.HANG_BEFORE, Fault.RESET_BEFORE],
    *[Fault.SERVER_ERROR, Fault.REFUSED_429, Fault.REJECTED_INVALID],
    *[Fault.NONE] * 152,
]  # fmt: skip
TOLD = QUICK | {
    "LASTMILE_NOTIFICATION_ROUTES": json.dumps({"sms": ["twilio", "twilio:second"], "email": ["inbox"]}),
}
ACCOUNT = {
    "LASTMILE_NOTIFICATION_TWILIO_RATE_PER_S_MAX": "1000",
    "LASTMILE_NOTIFICATION_TWILIO_LIMITS": json.dumps(
        json.loads(LIMITS) | {"failures_max": 10, "open_ms": 500, "return_ms": 1_000}
    ),
}


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("notifications") / "home") as started:
        yield started


async def tell(notifications: Notifications, client: redis.Redis) -> list[tuple[Story, str]]:
    """Publish deliveries of a few cities, each delivered to a customer of its own; return them with the numbers."""
    told: list[tuple[Story, str]] = []
    for city in range(4):
        first = notifications.story()
        writer = Writer(client, first.city_code)
        await writer.append(*(event.raw for event in first.prologue()))
        for number in range(DELIVERIES // 4):
            story, phone = first.next_delivery(), f"+9198{city}{number:07}"
            told.append((story, phone))
            await writer.append(story.created(phone).raw, story.became("delivered").raw)
    return told


@dataclass(slots=True)
class Providers:
    """Two accounts; the first hangs for a while."""

    first: TwilioPeer
    second: TwilioPeer
    hung_at: int | None = None

    @property
    def taken(self) -> list[TakenMessage]:
        return [*self.first.taken, *self.second.taken]

    def choose(self, chance: random.Random) -> Fault:
        """What the first does with the next request."""
        taken = len(self.second.taken)
        if self.hung_at is None and len(self.first.taken) >= HANGS_AFTER:
            self.hung_at = taken
        hangs = self.hung_at is not None and taken < self.hung_at + HANGS_FOR
        return Fault.HANG_BEFORE if hangs else chance.choice(FAULTS)

    def environment(self) -> dict[str, str]:
        """What a sender is told of both."""
        one, two = self.first.environment | ACCOUNT, self.second.environment | ACCOUNT
        return one | {name.replace("TWILIO_", "TWILIO_SECOND_"): value for name, value in two.items()}


@asynccontextmanager
async def two_providers(chance: random.Random) -> AsyncIterator[Providers]:
    """Both, listening."""
    async with twilio_peer() as first, twilio_peer(lambda _: chance.choice(FAULTS)) as second:
        providers = Providers(first, second)
        first.choose = lambda _: providers.choose(chance)
        yield providers


async def settled(owner: asyncpg.Connection, providers: Providers) -> bool:
    """Whether everything was planned and is done with, and all that was taken is known to be."""
    now = await counts(owner)
    return now.total() == DELIVERIES and not now["planned"] + now["sending"] and now["sent"] == len(providers.taken)


async def test_no_message_is_sent_twice_whoever_dies(servers: EmbeddedServers, tmp_path: Path) -> None:
    chance = random.Random(5)
    async with (
        two_providers(chance) as providers,
        notifications_on(servers) as notifications,
        redis.from_url(servers.redis_url) as client,
    ):
        told = await tell(notifications, client)
        environment = os.environ | servers.service_environment | TOLD | providers.environment()
        log = tmp_path / "workers.log"
        workers = [Worker(kind, environment, log) for kind in ("consumer", "sender", "sender")]
        owner = await asyncpg.connect(servers.dsn())
        try:
            async with asyncio.timeout(DEADLINE_S):
                for _ in range(KILLS):
                    # Whoever has come to work is killed in the middle of it.
                    before = len(providers.taken)
                    while len(providers.taken) < min(before + DELIVERIES // (2 * KILLS), DELIVERIES * 9 // 10):
                        await asyncio.sleep(0.01)
                    victim = chance.choice(workers)
                    await asyncio.to_thread(victim.kill)
                while not await settled(owner, providers):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            now = await counts(owner)
            raise AssertionError(f"{now}, {len(providers.taken)} taken\n{log.read_text()[-4_000:]}") from None
        finally:
            await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))
        await _prove(owner, providers, told)
        await owner.close()


async def _prove(owner: asyncpg.Connection, providers: Providers, told: list[tuple[Story, str]]) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in await owner.fetch("SELECT * FROM notification.messages")]
    state_of = {row["delivery_id"]: row["state"] for row in rows}
    assert len(rows) == len(state_of) == len(told)
    taken = Counter(message.to for message in providers.taken)
    assert max(taken.values()) == 1, [number for number, times in taken.items() if times > 1]
    listed: Counter[tuple[str, int]] = Counter()
    for story, phone in told:
        listed[state_of[uuid.UUID(story.delivery_id)], taken[phone]] += 1
    # What was taken is known as sent; what nobody knows of is called so, and the provider has not taken it.
    assert set(listed) <= {("sent", 1), ("failed", 0), ("outcome_unknown", 0)}, listed
    assert listed["sent", 1] > DELIVERIES * 0.9
    assert listed["outcome_unknown", 0] > 0
    attempts = await owner.fetch("SELECT id, count(*) AS n FROM notification.attempts GROUP BY id HAVING count(*) > 1")
    assert attempts == []
    # The second carried what the first could not, and the first came back.
    assert len(providers.second.taken) >= HANGS_FOR
    assert len(providers.first.taken) > HANGS_AFTER

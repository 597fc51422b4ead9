"""E-mail over Amazon SES while senders are killed and SES fails in every way: no message is sent twice, none is lost.

moto's own records are the proof of what was sent; what SES publishes of it settles what nobody knew.
"""

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import redis.asyncio as redis
from starlette.applications import Starlette

from libs.embedded.stack import EmbeddedServers
from services.notification.providers.ses import SesProvider, SesSettings
from services.notification.receipts.endpoint import ReceiptEndpoint, ReceiptLimits
from tests.events import Writer
from tests.notifications import Notifications, Story, notifications_on
from tests.peers.ses import REGION, SENDER, SesPeer, ses_peer
from tests.peers.sns import TOPIC, SnsPeer, sns_peer
from tests.peers.twilio import Fault
from tests.workers import LIMITS, QUICK, Worker, counts

DELIVERIES, KILLS, DEADLINE_S = 200, 3, 90.0
FAULTS = [
    *[Fault.TAKEN_THEN_HANG, Fault.TAKEN_THEN_RESET, Fault.TAKEN_THEN_GARBAGE, Fault.HANG_BEFORE, Fault.RESET_BEFORE],
    *[Fault.SERVER_ERROR, Fault.REFUSED_429, Fault.REJECTED_INVALID],
    *[Fault.NONE] * 72,
]  # fmt: skip
TOLD = QUICK | {
    "LASTMILE_NOTIFICATION_ROUTES": json.dumps({"email": ["ses"]}),
    "LASTMILE_NOTIFICATION_SES_LIMITS": LIMITS,
}


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("mails") / "home") as started:
        yield started


async def tell(notifications: Notifications, client: redis.Redis) -> dict[str, Story]:
    """Publish deliveries, each with a customer of its own; return them by e-mail address."""
    first, told = notifications.story(), dict[str, Story]()
    writer = Writer(client, first.city_code)
    await writer.append(*(event.raw for event in first.prologue()))
    for number in range(DELIVERIES):
        told[f"customer{number}@example.com"] = story = first.next_delivery()
        await writer.append(story.created(email=f"customer{number}@example.com").raw)
    return told


async def publish(notifications: Notifications, peer: SesPeer, sns: SnsPeer) -> None:
    """Have SNS post what SES says of every e-mail that it has taken."""
    told = SesSettings(region=REGION, sender=SENDER, topic_arn=TOPIC, sns_url=sns.url)
    provider = SesProvider(told)
    endpoint = ReceiptEndpoint(notifications.primary, {"ses": provider}, notifications.vault, ReceiptLimits())
    transport = httpx.ASGITransport(Starlette(routes=[endpoint.route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://receipts") as client:
        for attempt_id in peer.taken:
            said = sns.notification(peer.event("Send", attempt_id))
            assert (await client.post("/receipts/ses", content=json.dumps(said))).status_code == 204
    await provider.close()


async def is_done(owner: asyncpg.Connection) -> bool:
    now = await counts(owner)
    return now.total() == DELIVERIES and not now["planned"] + now["sending"]


async def test_no_e_mail_is_sent_twice_and_none_is_lost_whoever_dies(servers: EmbeddedServers, tmp_path: Path) -> None:
    chance = random.Random(6)
    async with (
        ses_peer() as peer,
        sns_peer() as sns,
        notifications_on(servers) as notifications,
        redis.from_url(servers.redis_url) as client,
    ):
        peer.choose = lambda: chance.choice(FAULTS)
        told = await tell(notifications, client)
        environment = os.environ | servers.service_environment | TOLD | peer.environment
        log = tmp_path / "workers.log"
        workers = [Worker(kind, environment, log) for kind in ("consumer", "sender", "sender")]
        owner = await asyncpg.connect(servers.dsn())
        try:
            async with asyncio.timeout(DEADLINE_S):
                for _ in range(KILLS):
                    before = len(peer.taken)
                    while len(peer.taken) < min(before + DELIVERIES // (2 * KILLS), DELIVERIES * 9 // 10):
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(chance.choice(workers[1:]).kill)
                while not await is_done(owner):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            now = await counts(owner)
            raise AssertionError(f"{now}, {len(peer.taken)} taken\n{log.read_text()[-4_000:]}") from None
        finally:
            await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))
        before_receipts = await counts(owner)
        await publish(notifications, peer, sns)
        await _prove(owner, peer, told, before_receipts)
        await owner.close()


async def _prove(
    owner: asyncpg.Connection, peer: SesPeer, told: dict[str, Story], before_receipts: Counter[str]
) -> None:
    state_of = {row["delivery_id"]: row["state"] for row in await owner.fetch("SELECT * FROM notification.messages")}
    mails = Counter(mail.destinations["ToAddresses"][0] for mail in peer.mails)
    assert max(mails.values()) == 1, [address for address, times in mails.items() if times > 1]
    listed: Counter[tuple[str, int]] = Counter()
    for address, story in told.items():
        listed[state_of[uuid.UUID(story.delivery_id)], mails[address]] += 1
    assert set(listed) <= {("sent", 1), ("failed", 0), ("outcome_unknown", 0)}, listed
    assert listed["sent", 1] > DELIVERIES * 0.8
    # Some had been sent that nobody knew of.
    assert before_receipts["outcome_unknown"] > listed["outcome_unknown", 0] > 0

"""What providers call back: believed when it is theirs, refused and counted when it is not, and taken once."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from libs.embedded.stack import EmbeddedServers
from libs.ids import floor_at
from libs.postgres.pool import PoolLimits, create_pool
from services.notification import metrics
from services.notification.receipts.endpoint import ReceiptEndpoint, ReceiptLimits
from services.notification.recipients import places, suppressing
from services.notification.recipients import store as recipients
from services.notification.recipients.addresses import kept
from services.notification.recipients.servicer import ID_MAX
from services.notification.sending.carriers import Carrier
from tests.notifications import Notifications, Story, phone_number, sending
from tests.peers.twilio import ACCOUNT, CALLBACK_URL, Fault, TwilioPeer, signature, twilio_peer
from tests.texts import ends_as, texted, twilio

BODIES_MAX = 8


@pytest.fixture
async def peer() -> AsyncIterator[TwilioPeer]:
    async with twilio_peer() as made:
        yield made


@pytest.fixture
async def carrier(peer: TwilioPeer) -> Carrier:
    return twilio(peer)


@pytest.fixture
async def client(
    embedded_servers: EmbeddedServers, notifications: Notifications, carrier: Carrier
) -> AsyncIterator[httpx.AsyncClient]:
    limits = ReceiptLimits(body_bytes_max=2_000, body_timeout_s=0.3, client_bodies_max=BODIES_MAX)
    async with await create_pool(embedded_servers.dsn("notification_api"), PoolLimits(), "test") as primary:
        endpoint = ReceiptEndpoint(primary, {"twilio": carrier.provider}, notifications.vault, limits)
        transport = httpx.ASGITransport(Starlette(routes=[endpoint.route]))
        async with httpx.AsyncClient(transport=transport, base_url="http://receipts") as made:
            yield made


async def call_back(
    client: httpx.AsyncClient, attempt_id: object, form: Mapping[str, str], signed: str | None = None
) -> int:
    """Call back about an attempt, as Twilio does; None of an attempt is what somebody says of its own accord."""
    query = f"?attempt={attempt_id}" if attempt_id else ""
    headers = {
        "X-Twilio-Signature": signature(CALLBACK_URL + query, form) if signed is None else signed,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    response = await client.post(f"/receipts/twilio{query}", content=urlencode(form), headers=headers)
    return response.status_code


def status(state: str, sid: str = "SM1", **more: str) -> dict[str, str]:
    return {"MessageSid": sid, "MessageStatus": state, "AccountSid": ACCOUNT, **more}


async def sent(notifications: Notifications, carrier: Carrier) -> tuple[Story, object]:
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "sent")
    return story, (await notifications.attempts(story))[0]["id"]


def counted(outcome: str) -> float:
    return float(metrics.RECEIPTS.labels("twilio", outcome)._value.get())


async def test_a_receipt_says_that_a_message_has_arrived(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    assert await call_back(client, attempt_id, status("sent")) == 204
    assert await call_back(client, attempt_id, status("delivered")) == 204
    assert await notifications.states(story) == {("delivered", "sms"): "delivered"}
    # One that was overtaken changes nothing.
    assert await call_back(client, attempt_id, status("sent", "SM1", RawDlrDoneDate="1")) == 204
    assert await notifications.states(story) == {("delivered", "sms"): "delivered"}


async def test_a_receipt_resolves_what_nobody_knew(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.TAKEN_THEN_RESET
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "outcome_unknown")
    (taken,) = peer.taken
    assert await call_back(client, taken.attempt_id, status("delivered", taken.sid)) == 204
    assert await notifications.states(story) == {("delivered", "sms"): "delivered"}
    (attempt,) = await notifications.attempts(story)
    assert (attempt["provider_message_id"], attempt["next_look_at"]) == (taken.sid, None)


async def test_what_is_not_theirs_is_refused_counted_and_changes_nothing(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    before = {name: counted(name) for name in ("forged", "replayed", "oversized", "stale", "unreadable")}
    form = status("undelivered", ErrorCode="30005")
    assert await call_back(client, attempt_id, form, "") == 403
    assert await call_back(client, attempt_id, form, signature(CALLBACK_URL, form)) == 403
    assert await call_back(client, attempt_id, status("failed"), signature(CALLBACK_URL, form)) == 403
    assert await call_back(client, attempt_id, form | {"Padding": "x" * 2_000}) == 413
    old = floor_at(datetime.now(UTC) - timedelta(days=8))
    assert await call_back(client, old, form) == 409
    assert await call_back(client, "no-uuid", form) == 400
    assert (await client.post("/receipts/nobody")).status_code == 404
    assert (await client.post("/receipts/twilio", content=b"\xff\xfe")).status_code == 400
    assert await notifications.states(story) == {("delivered", "sms"): "sent"}
    assert not await notifications.primary.fetchval("SELECT count(*) FROM notification.suppressions")
    delivered = status("delivered")
    assert await call_back(client, attempt_id, delivered) == 204
    assert await call_back(client, attempt_id, delivered) == 409
    # The same fields in another order have the same signature.
    assert await call_back(client, attempt_id, dict(reversed(delivered.items()))) == 409
    after = {name: counted(name) - count for name, count in before.items()}
    assert after == {"forged": 3, "replayed": 2, "oversized": 1, "stale": 1, "unreadable": 2}


async def test_a_hard_bounce_suppresses_the_address(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    assert await call_back(client, attempt_id, status("undelivered", ErrorCode="30005")) == 204
    assert await notifications.states(story) == {("delivered", "sms"): "failed"}
    await notifications.plan(story.became("cancelled"))
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "suppressed", "cancelled")


async def test_what_comes_late_suppresses_the_address_that_the_message_went_to(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    (message,), (attempt,) = await notifications.messages(story), await notifications.attempts(story)
    went_to = notifications.vault.open(attempt["address_sealed"], places.ADDRESS)
    sealed, hashed = kept(notifications.vault, "sms", phone_number())
    await notifications.primary.execute(
        "UPDATE notification.addresses SET address_sealed = $2, address_hash = $3 WHERE recipient_id = $1",
        message["recipient_id"], sealed, hashed,
    )  # fmt: skip
    assert await call_back(client, attempt_id, status("undelivered", ErrorCode="30005")) == 204
    suppressed = await notifications.primary.fetch("SELECT address_hash FROM notification.suppressions")
    assert [row["address_hash"] for row in suppressed] == [kept(notifications.vault, "sms", went_to)[1]]


async def test_stop_suppresses_and_start_lifts_only_that(
    notifications: Notifications, client: httpx.AsyncClient
) -> None:
    phone = phone_number()

    said = {"MessageSid": uuid.uuid4().hex, "From": phone, "Body": "Stop"}
    assert await call_back(client, None, said) == 204
    assert await reasons(notifications) == [("STOP", [])]
    assert await call_back(client, None, said | {"MessageSid": uuid.uuid4().hex, "Body": "Thank you"}) == 204
    assert await reasons(notifications) == [("STOP", [])]
    assert await call_back(client, None, said | {"MessageSid": uuid.uuid4().hex, "Body": "START"}) == 204
    assert await reasons(notifications) == []


async def reasons(notifications: Notifications) -> list[tuple[str, list[str]]]:
    rows = await notifications.primary.fetch("SELECT reason, also FROM notification.suppressions")
    return [(row["reason"], row["also"]) for row in rows]


async def test_who_says_stop_is_heard_whatever_else_the_address_is_suppressed_for(
    notifications: Notifications, client: httpx.AsyncClient
) -> None:
    phone = phone_number()
    async with notifications.primary.acquire() as connection, connection.transaction():
        await suppressing.suppress(connection, notifications.vault, "sms", phone, "BY_HAND")
    stop = {"MessageSid": uuid.uuid4().hex, "From": phone, "Body": "Stop"}
    assert await call_back(client, None, stop) == 204
    assert await call_back(client, None, stop | {"MessageSid": uuid.uuid4().hex}) == 204
    assert await reasons(notifications) == [("BY_HAND", ["STOP"])]
    async with notifications.primary.acquire() as connection, connection.transaction():
        (by_hand,) = await recipients.suppressions(connection, ID_MAX, 10)
        assert await recipients.lift(connection, by_hand.id)
        # Asked again, as by a caller that lost the answer, it lifts nothing more.
        assert not await recipients.lift(connection, by_hand.id)
    assert await reasons(notifications) == [("STOP", [])]
    assert await call_back(client, None, stop | {"MessageSid": uuid.uuid4().hex, "Body": "START"}) == 204
    assert await reasons(notifications) == []


async def test_start_leaves_what_an_address_is_suppressed_for_besides(
    notifications: Notifications, client: httpx.AsyncClient
) -> None:
    for first, second in (("STOP", "BY_HAND"), ("INVALID", "STOP")):
        phone = phone_number()
        async with notifications.primary.acquire() as connection, connection.transaction():
            for reason in (first, second):
                await suppressing.suppress(connection, notifications.vault, "sms", phone, reason)
        start = {"MessageSid": uuid.uuid4().hex, "From": phone, "Body": "Start"}
        assert await call_back(client, None, start) == 204
    assert sorted(await reasons(notifications)) == [("BY_HAND", []), ("INVALID", [])]


async def test_an_old_start_lifts_no_newer_stop(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, embedded_servers: EmbeddedServers
) -> None:
    phone = phone_number()
    start = {"MessageSid": uuid.uuid4().hex, "From": phone, "Body": "Start"}
    assert await call_back(client, None, start) == 204
    owner = await asyncpg.connect(embedded_servers.dsn())
    await owner.execute("UPDATE notification.receipts SET received_at = now() - interval '9 days'")
    await owner.close()
    await notifications.sweeper(carrier).forget()
    assert await call_back(client, None, start | {"MessageSid": uuid.uuid4().hex, "Body": "Stop"}) == 204
    assert await call_back(client, None, start) == 409
    assert await reasons(notifications) == [("STOP", [])]


async def trickle() -> AsyncIterator[bytes]:
    """A body that never ends."""
    yield b"MessageStatus="
    await asyncio.Event().wait()


async def test_a_body_that_trickles_is_given_up(client: httpx.AsyncClient) -> None:
    response = await client.post("/receipts/twilio", content=trickle())
    assert (response.status_code, response.headers["connection"]) == (408, "close")


async def test_a_client_with_too_much_under_way_is_refused_more(client: httpx.AsyncClient) -> None:
    slow = [client.post("/receipts/twilio", content=trickle()) for _ in range(BODIES_MAX + 3)]
    answers = sorted([answer.status_code for answer in await asyncio.gather(*slow)])
    assert answers == [408] * BODIES_MAX + [429] * 3
    # What has ended is under way no more.
    assert (await client.post("/receipts/twilio", content=b"\xff\xfe")).status_code == 400


async def test_old_receipts_are_forgotten(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, embedded_servers: EmbeddedServers
) -> None:
    _, attempt_id = await sent(notifications, carrier)
    assert await call_back(client, attempt_id, status("delivered")) == 204
    owner = await asyncpg.connect(embedded_servers.dsn())
    await owner.execute("UPDATE notification.receipts SET received_at = now() - interval '9 days'")
    await notifications.sweeper(carrier).forget()
    assert await owner.fetchval("SELECT count(*) FROM notification.receipts") == 0
    await owner.close()

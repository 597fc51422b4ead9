"""What SNS posts of e-mails, signed by a key of the test's own: believed when it is theirs, and taken once."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.notification import metrics
from services.notification.providers.ses import SesProvider
from services.notification.receipts.endpoint import ReceiptEndpoint, ReceiptLimits
from services.notification.sending.carriers import Carrier
from tests.mails import mailing, sent, settings
from tests.notifications import Notifications, Story, sending
from tests.peers.ses import SesPeer
from tests.peers.sns import TOPIC, SnsPeer, certificate_of, sns_peer
from tests.peers.twilio import Fault
from tests.texts import ends_as


@pytest.fixture(scope="module")
async def mail() -> AsyncIterator[tuple[SesPeer, Carrier]]:
    async with mailing() as made:
        yield made


@pytest.fixture
def peer(mail: tuple[SesPeer, Carrier]) -> SesPeer:
    mail[0].choose = lambda: Fault.NONE
    return mail[0]


@pytest.fixture
def carrier(mail: tuple[SesPeer, Carrier]) -> Carrier:
    return mail[1]


@pytest.fixture
async def sns() -> AsyncIterator[SnsPeer]:
    async with sns_peer() as made:
        yield made


@pytest.fixture
async def client(
    embedded_servers: EmbeddedServers, notifications: Notifications, sns: SnsPeer
) -> AsyncIterator[httpx.AsyncClient]:
    provider = SesProvider(settings("http://127.0.0.1:1", sns.url))
    async with await create_pool(embedded_servers.dsn("notification_api"), PoolLimits(), "test") as primary:
        endpoint = ReceiptEndpoint(primary, {"ses": provider}, notifications.vault, ReceiptLimits())
        transport = httpx.ASGITransport(Starlette(routes=[endpoint.route]))
        async with httpx.AsyncClient(transport=transport, base_url="http://receipts") as made:
            yield made
    await provider.close()


async def post(client: httpx.AsyncClient, fields: Mapping[str, str]) -> int:
    return (await client.post("/receipts/ses", content=json.dumps(fields))).status_code


async def state_of(notifications: Notifications, story: Story) -> str:
    return (await notifications.states(story))[("created", "email")]


async def suppressions(notifications: Notifications) -> list[str]:
    return [row["reason"] for row in await notifications.primary.fetch("SELECT reason FROM notification.suppressions")]


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_receipt_says_that_an_e_mail_has_arrived(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer, version: str
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    for kind in ("Send", "DeliveryDelay", "Delivery", "Open"):
        said = sns.notification(peer.event(kind, attempt_id), SignatureVersion=version, Subject="Amazon SES event")
        assert await post(client, said) == 204
    assert await state_of(notifications, story) == "delivered"
    # Its certificate is kept.
    assert len(sns.asked) == 1


async def test_a_receipt_resolves_what_nobody_knew(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer
) -> None:
    peer.choose = lambda: Fault.TAKEN_THEN_RESET
    story, attempt_id = await sent(notifications, carrier, "outcome_unknown")
    assert await post(client, sns.notification(peer.event("Send", attempt_id))) == 204
    assert await state_of(notifications, story) == "sent"
    (attempt,) = await notifications.attempts(story)
    assert attempt["provider_message_id"] == peer.taken[str(attempt_id)]


async def test_notifications_of_an_identity_have_no_tags_and_are_found_by_their_id(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    mail = {"messageId": peer.taken[str(attempt_id)]}
    assert await post(client, sns.notification({"notificationType": "Delivery", "mail": mail})) == 204
    assert await state_of(notifications, story) == "delivered"


@pytest.mark.parametrize(
    ("kind", "said", "state", "reasons"),
    [
        ("Bounce", {"bounceType": "Permanent", "bounceSubType": "General"}, "failed", ["HARD_BOUNCE"]),
        ("Bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull"}, "failed", []),
        ("Complaint", {"complaintSubType": None}, "delivered", ["COMPLAINT"]),
        ("Complaint", {"complaintSubType": "OnAccountSuppressionList"}, "failed", ["COMPLAINT"]),
        ("Reject", {"reason": "Bad content"}, "failed", []),
    ],
)
async def test_a_hard_bounce_and_a_complaint_suppress_the_address(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer,
    kind: str, said: dict[str, Any], state: str, reasons: list[str],
) -> None:  # fmt: skip
    story, attempt_id = await sent(notifications, carrier)
    assert await post(client, sns.notification(peer.event(kind, attempt_id, **said))) == 204
    assert await state_of(notifications, story) == state
    assert await suppressions(notifications) == reasons
    await notifications.plan(story.became("cancelled"))
    async with sending(notifications.sender({"email": [carrier]})):
        await ends_as(notifications, story, "suppressed" if reasons else "sent", "cancelled", "email")


async def test_who_complains_of_what_has_arrived_gets_nothing_more(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer
) -> None:
    story, attempt_id = await sent(notifications, carrier)
    assert await post(client, sns.notification(peer.event("Delivery", attempt_id))) == 204
    assert await post(client, sns.notification(peer.event("Complaint", attempt_id))) == 204
    assert await state_of(notifications, story) == "delivered"
    assert await suppressions(notifications) == ["COMPLAINT"]


async def test_what_is_not_theirs_is_refused_counted_and_changes_nothing(
    notifications: Notifications, client: httpx.AsyncClient, carrier: Carrier, peer: SesPeer, sns: SnsPeer
) -> None:
    def counted(outcome: str) -> float:
        return float(metrics.RECEIPTS.labels("ses", outcome)._value.get())

    story, attempt_id = await sent(notifications, carrier)
    before = {name: counted(name) for name in ("forged", "stale", "replayed", "unreadable", "unreachable")}
    event = peer.event("Bounce", attempt_id, bounceType="Permanent", bounceSubType="General")
    good = sns.notification(event)
    async with sns_peer() as stranger:
        # Signed by another key, which serves its certificate itself; and with the name of the right one.
        assert await post(client, stranger.notification(event)) == 403
        assert await post(client, stranger.notification(event, SigningCertURL=good["SigningCertURL"])) == 403
        assert stranger.asked == []
    assert await post(client, good | {"Message": json.dumps(event | {"more": 1})}) == 403
    assert await post(client, good | {"Signature": "x"}) == 403
    assert await post(client, good | {"SignatureVersion": "3"}) == 403
    assert await post(client, sns.notification(event, TopicArn=TOPIC + "-of-others")) == 403
    old = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    assert await post(client, sns.notification(event, Timestamp=old)) == 409
    assert await post(client, {}) == 400
    assert await post(client, good | {"Type": "Something"}) == 400
    assert await post(client, sns.notification({"eventType": "Bounce"})) == 400
    assert await state_of(notifications, story) == "sent"
    assert await suppressions(notifications) == []
    delivery = sns.notification(peer.event("Delivery", attempt_id))
    assert await post(client, delivery) == 204
    # In other bytes it is the same.
    assert await post(client, dict(reversed(delivery.items())) | {"UnsubscribeURL": "https://other"}) == 409
    after = {name: counted(name) - count for name, count in before.items()}
    assert after == {"forged": 6, "stale": 1, "replayed": 1, "unreadable": 3, "unreachable": 0}


@pytest.mark.parametrize("days", [-1, 30])
async def test_a_certificate_is_good_in_its_time_and_for_its_own_key(
    client: httpx.AsyncClient, peer: SesPeer, sns: SnsPeer, days: int
) -> None:
    key = sns.key if days < 0 else rsa.generate_private_key(65537, 2048)
    sns.certificate = certificate_of(key, days=days)
    assert await post(client, sns.notification(peer.event("Delivery", uuid.uuid4()))) == 403
    sns.certificate = b"no certificate"
    other = f"{sns.url}/other.pem"
    assert await post(client, sns.notification(peer.event("Delivery", uuid.uuid4()), SigningCertURL=other)) == 403


async def test_a_certificate_that_cannot_be_got_is_asked_for_again_later(
    client: httpx.AsyncClient, peer: SesPeer, sns: SnsPeer
) -> None:
    said, port = sns.notification(peer.event("Delivery", uuid.uuid4())), sns.port
    async with sns_peer() as other:
        gone = f"http://127.0.0.1:{other.port}"
    assert port != other.port
    provider = SesProvider(settings("http://127.0.0.1:1", gone))
    told = dict(said) | {"SigningCertURL": f"{gone}/a.pem"}
    endpoint = ReceiptEndpoint(None, {"ses": provider}, None, ReceiptLimits())  # type: ignore[arg-type]  # not come to
    transport = httpx.ASGITransport(Starlette(routes=[endpoint.route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://receipts") as made:
        assert await post(made, told) == 503
    await provider.close()


async def test_a_topic_is_told_that_it_may_post_here_if_it_is_the_right_one(
    client: httpx.AsyncClient, sns: SnsPeer
) -> None:
    assert await post(client, sns.confirmation(SubscribeURL="https://example.com/?Action=ConfirmSubscription")) == 403
    assert await post(client, sns.confirmation(TopicArn=TOPIC + "-of-others")) == 403
    assert await post(client, sns.confirmation() | {"Token": "another"}) == 403
    assert [path for path in sns.asked if "Confirm" in path] == []
    assert await post(client, sns.confirmation()) == 204
    assert [path for path in sns.asked if "Confirm" in path] == ["/?Action=ConfirmSubscription"]

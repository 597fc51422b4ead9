"""Whose a URL is, and that nothing is fetched for a post that is not of the topic."""

import json

import pytest

from services.notification.providers.outgoing import ReceiptError
from services.notification.receipts.sns import SnsPosts
from tests.peers.sns import TOPIC, SnsPeer, certificate_of

THEIRS = [
    "https://sns.ap-south-1.amazonaws.com/SimpleNotificationService-0123.pem",
    "https://sns.us-gov-west-1.amazonaws.com/a.pem",
    "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
]
NOT_THEIRS = [
    "http://sns.ap-south-1.amazonaws.com/a.pem",
    "https://sns.ap-south-1.amazonaws.com.example.com/a.pem",
    "https://example.com/sns.ap-south-1.amazonaws.com/a.pem",
    "https://sns.ap-south-1.amazonaws.com@example.com/a.pem",
    "https://sns.ap-south-1.amazonaws.com:8443/a.pem",
    "https://bucket.s3.amazonaws.com/a.pem",
    "https://sns.a.b.amazonaws.com/a.pem",
    "https://evil-sns.ap-south-1.amazonaws.com/a.pem",
    "https://[sns.ap-south-1.amazonaws.com/a.pem",
    "file:///etc/passwd",
    "",
]
PEER = SnsPeer()


async def _no_fetch(url: str) -> bytes:
    raise AssertionError(f"{url} is fetched")


def posts(topic_arn: str = TOPIC) -> SnsPosts:
    return SnsPosts(_no_fetch, topic_arn, 3_600)


@pytest.mark.parametrize("url", THEIRS)
def test_certificates_come_from_hosts_of_sns(url: str) -> None:
    assert posts().is_theirs(url)


@pytest.mark.parametrize("url", NOT_THEIRS)
async def test_what_leads_elsewhere_is_not_fetched(url: str) -> None:
    assert not posts().is_theirs(url)
    with pytest.raises(ReceiptError, match="forged"):
        await posts().verified(json.dumps(PEER.notification({}, SigningCertURL=url)).encode())


@pytest.mark.parametrize("topic_arn", ["", TOPIC + "-of-others"])
async def test_a_post_of_another_topic_is_refused_before_anything_is_fetched(topic_arn: str) -> None:
    for posted in ("", TOPIC):
        said = PEER.notification({}, SigningCertURL=THEIRS[0], TopicArn=posted)
        with pytest.raises(ReceiptError, match="forged"):
            await posts(topic_arn).verified(json.dumps(said).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{}", b"\xff", b'{"Type": ["Notification"]}', b'{"Type": null}'])
async def test_what_is_no_post_is_unreadable(body: bytes) -> None:
    with pytest.raises(ReceiptError, match="unreadable"):
        await posts().verified(body)


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01T00:00:00Z", ""])
async def test_a_post_without_a_time_is_unreadable(at: str) -> None:
    async def fetch(_: str) -> bytes:
        return certificate_of(PEER.key)

    said = PEER.notification({}, SigningCertURL=THEIRS[0], Timestamp=at)
    with pytest.raises(ReceiptError, match="unreadable"):
        await SnsPosts(fetch, TOPIC, 3_600).verified(json.dumps(said).encode())

"""Posts of Amazon SNS, verified: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html.

Anybody's topic is signed by the same keys: a post counts only when it is of the topic that was named.
"""

import base64
import binascii
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import Certificate, load_pem_x509_certificate

from services.notification.providers.outgoing import ReceiptError

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
# What is signed, in this order; a notification's Subject only where it has one.
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Mapping[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}
_HOST = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?")
# Amazon has one a region and year.
_CERTIFICATES_KEPT = 8

Post = Mapping[str, str]


class SnsPosts:
    """Verifies posts of one topic. `fetch` gets what is at a URL; `stand_in` is the origin of one for SNS, if any."""

    def __init__(
        self, fetch: Callable[[str], Awaitable[bytes]], topic_arn: str, age_s_max: float, stand_in: str = ""
    ) -> None:
        self._fetch = fetch
        self._topic_arn = topic_arn
        self._age_s_max = age_s_max
        self._stand_in = stand_in
        self._certificates: OrderedDict[str, Certificate] = OrderedDict()

    async def verified(self, body: bytes) -> Post:
        """Return a post's fields. Raises ReceiptError, or what `fetch` raises."""
        post = _read(body)
        now = datetime.now(UTC)
        if not self._topic_arn or post["TopicArn"] != self._topic_arn or not self.is_theirs(post["SigningCertURL"]):
            raise ReceiptError("forged")
        certificate = await self._certificate(post["SigningCertURL"], now)
        _verify(post, certificate)
        if (now - _time_of(post)).total_seconds() > self._age_s_max:
            raise ReceiptError("stale")
        return post

    def is_theirs(self, url: str) -> bool:
        """Whether a URL leads to SNS."""
        try:
            parts = urlsplit(url)
            if self._stand_in:
                return f"{parts.scheme}://{parts.netloc}" == self._stand_in
            return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None
        except ValueError:
            return False

    async def _certificate(self, url: str, now: datetime) -> Certificate:
        known = self._certificates.get(url)
        if known is None:
            try:
                known = load_pem_x509_certificate(await self._fetch(url))
            except ValueError:
                raise ReceiptError("forged") from None
            self._certificates[url] = known
            if len(self._certificates) > _CERTIFICATES_KEPT:
                self._certificates.popitem(last=False)
        if not known.not_valid_before_utc <= now <= known.not_valid_after_utc:
            self._certificates.pop(url, None)
            raise ReceiptError("forged")
        return known


def _read(body: bytes) -> Post:
    try:
        post = json.loads(body)
        signed = _SIGNED[post["Type"]]
        needed = [*signed, "SigningCertURL", "SignatureVersion", "Signature"]
        if all(isinstance(post[name], str) for name in needed if name != "Subject"):
            return {name: post[name] for name in needed if isinstance(post.get(name), str)}
    except (ValueError, KeyError, TypeError):
        pass
    raise ReceiptError("unreadable")


def _verify(post: Post, certificate: Certificate) -> None:
    text = "".join(f"{name}\n{post[name]}\n" for name in _SIGNED[post["Type"]] if name in post)
    key, algorithm = certificate.public_key(), _HASHES.get(post["SignatureVersion"])
    if not isinstance(key, rsa.RSAPublicKey) or algorithm is None:
        raise ReceiptError("forged")
    try:
        key.verify(base64.b64decode(post["Signature"], validate=True), text.encode(), padding.PKCS1v15(), algorithm())
    except (InvalidSignature, binascii.Error, ValueError):
        raise ReceiptError("forged") from None


def _time_of(post: Post) -> datetime:
    try:
        at = datetime.fromisoformat(post["Timestamp"])
    except ValueError:
        raise ReceiptError("unreadable") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)

"""A stand-in for Amazon SNS: a key of its own, whose certificate it serves over real sockets, and what it posts."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.peers.http import read_request, serving

TOPIC = "arn:aws:sns:ap-south-1:123456789012:mail-events"


def certificate_of(key: rsa.RSAPrivateKey, *, days: int = 30) -> bytes:
    """A certificate of a key, as PEM, good for so many days; for none if that is negative."""
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=60))
    return builder.not_valid_after(now + timedelta(days=days)).sign(key, SHA256()).public_bytes(Encoding.PEM)


@dataclass(slots=True)
class SnsPeer:
    """SNS: `asked` are the paths that were asked for."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    certificate: bytes = b""
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def notification(self, event: Mapping[str, Any], **other: str) -> dict[str, str]:
        """What it posts of an event; `other` replaces fields before it is signed."""
        return self.signed({"Type": "Notification", "Message": json.dumps(event), **other})

    def confirmation(self, **other: str) -> dict[str, str]:
        """What it posts to ask whether the topic may post here."""
        told = {"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "Token": "t0ken"}
        return self.signed(told | {"SubscribeURL": f"{self.url}/?Action=ConfirmSubscription", **other})

    def signed(self, fields: Mapping[str, str]) -> dict[str, str]:
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        common = {"MessageId": str(uuid.uuid4()), "TopicArn": TOPIC, "Timestamp": at, "SignatureVersion": "2"}
        post = common | {"SigningCertURL": f"{self.url}/SimpleNotificationService.pem"} | fields
        text = "".join(
            f"{name}\n{post[name]}\n" for name in sorted(post) if name not in ("SigningCertURL", "SignatureVersion")
        )
        algorithm = SHA1() if post["SignatureVersion"] == "1" else SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return post | {"Signature": base64.b64encode(signature).decode()}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            self.asked.append(request[1])
            body = self.certificate if request[1].endswith(".pem") else b"<ConfirmSubscriptionResponse/>"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()


@asynccontextmanager
async def sns_peer() -> AsyncIterator[SnsPeer]:
    """A stand-in that listens on a port of the kernel's choice."""
    peer = SnsPeer()
    peer.certificate = certificate_of(peer.key)
    async with serving(peer.serve) as port:
        peer.port = port
        yield peer

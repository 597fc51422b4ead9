"""Merchants' webhooks, signed as Standard Webhooks 1.0 has it: https://www.standardwebhooks.com.

A receiver drops what it has by webhook-id, which is the message's own: so what failed in any way may be sent again.
Each receiver has a dependency of its own, so that one that hangs costs the others nothing.
"""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

import httpx
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from standardwebhooks.webhooks import Webhook

from libs.resilience.dependency import Dependency
from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.base import ProviderSettings
from services.notification.providers.outgoing import (
    REJECTED,
    Accepted,
    Callback,
    Outgoing,
    Receipt,
    RejectedError,
    Sought,
)

# Again is harmless, whatever became of it: see above.
_AGAIN = Verdict(counts=True, retryable=False, outcome=Outcome.CERTAINLY_NOT)
_GONE = 410
GONE = "WEBHOOK_GONE"


class WebhookSettings(ProviderSettings):
    """Where webhooks may lead, and what a receiver may cost."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_WEBHOOK_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    private_receivers: bool = Field(
        False, description="Webhooks may lead to http and to private addresses: only where no stranger sets them"
    )
    receiver: DependencyLimits = Field(
        DependencyLimits(
            deadline_ms=12_000, attempt_ms=10_000, at_once_max=4, waiting_max=4, wait_ms_max=1_000, attempts_max=1,
            failures_max=5, open_ms=30_000,
        ),
        description="What the calls of one receiver may cost, and when it counts as down",
    )  # fmt: skip
    receivers_max: int = Field(2_000, ge=1, description="Receivers whose circuits are remembered")


class AddressForbiddenError(Exception):
    """A host's address is none of the public internet's."""


class WebhookProvider:
    """Posts to merchants' systems."""

    name: ClassVar[str] = "webhook"
    channels: ClassVar[frozenset[str]] = frozenset({"webhook"})
    drops_repeats: ClassVar[bool] = True
    Settings = WebhookSettings

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._receivers: OrderedDict[UUID | None, Dependency] = OrderedDict()
        self._client = httpx.AsyncClient(
            # The dependency bounds each attempt.
            timeout=None,  # noqa: S113 - as above
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=settings.limits.at_once_max, max_keepalive_connections=32),
        )

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Post one message, signed with every secret that is good."""
        receiver = self._receivers.get(outgoing.merchant_id)
        if receiver is None:
            receiver = Dependency("notification.webhook_receiver", self._settings.receiver, _classify)
            self._receivers[outgoing.merchant_id] = receiver
            if len(self._receivers) > self._settings.receivers_max:
                self._receivers.popitem(last=False)
        self._receivers.move_to_end(outgoing.merchant_id)
        return await receiver.call(self._post, outgoing)

    async def _post(self, outgoing: Outgoing) -> Accepted:
        url = httpx.URL(outgoing.address)
        host, body, now = url.host, outgoing.words.body, datetime.now(UTC).replace(microsecond=0)
        address = await self._address_of(host, url.port or (443 if url.scheme == "https" else 80))
        webhook_id = str(outgoing.message_id)
        signed = " ".join(Webhook(secret).sign(webhook_id, now, body) for secret in outgoing.secrets)
        request = self._client.build_request(
            "POST",
            # To the address that was looked at: a name may mean another one the next time.
            url.copy_with(host=address),
            content=body.encode(),
            headers={
                "Host": url.netloc.decode(),
                "Content-Type": "application/json",
                "User-Agent": "Lastmile-Webhooks",
                "webhook-id": webhook_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signed,
            },
            extensions={"sni_hostname": host},
        )
        # What a receiver says besides its status is of no interest, however much it is.
        response = await self._client.send(request, stream=True)
        await response.aclose()
        if response.status_code == _GONE:
            raise RejectedError(GONE, "its receiver wants no more")
        if not response.is_success:
            raise httpx.HTTPStatusError(f"status {response.status_code}", request=request, response=response)
        return Accepted(state=MessageState.DELIVERED)

    async def _address_of(self, host: str, port: int) -> str:
        """Return the address of a host. Raises AddressForbiddenError for one that is not public, if it must be."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self._settings.private_receivers and not all(ipaddress.ip_address(one).is_global for one in addresses):
            raise AddressForbiddenError(f"{host} is not on the public internet")
        return addresses[0]

    def classify(self, error: Exception) -> Verdict | None:
        """Leave errors to whoever sends: the receiver's own dependency has classified them."""
        return REJECTED if isinstance(error, RejectedError) else None

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Say nothing: a receiver cannot be asked, and need not be."""
        return None

    def receipt_of(self, callback: Callback) -> Receipt | None:
        """Say nothing: a receiver does not call back."""
        return None

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _classify(error: Exception) -> Verdict | None:
    if isinstance(error, RejectedError):
        return REJECTED
    known = (httpx.HTTPError, httpx.InvalidURL, OSError, AttemptTimeoutError, AddressForbiddenError, UnicodeError)
    return _AGAIN if isinstance(error, known) else None

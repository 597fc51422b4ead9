"""Merchants' webhooks, signed as Standard Webhooks 1.0 has it: https://www.standardwebhooks.com.

A receiver drops what it has by webhook-id, which is the message's own: so what failed in any way may be sent again.
Each receiver has a dependency of its own, so that one that hangs costs the others nothing.
"""

import socket
from collections import OrderedDict
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Self
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from standardwebhooks.webhooks import Webhook
from yarl import URL

from libs.resilience.circuit import CircuitState
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
    NamedError,
    Outgoing,
    Receipt,
    RejectedError,
    Sought,
)

# Again is harmless, whatever became of it: see above.
_AGAIN = Verdict(counts=True, retryable=False, outcome=Outcome.CERTAINLY_NOT)
_REDIRECT, _GONE = 300, 410
GONE = "WEBHOOK_GONE"


class WebhookSettings(ProviderSettings):
    """Where webhooks may lead, and what a receiver may cost."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_WEBHOOK_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    private_receivers: bool = Field(
        False, description="Webhooks may lead to http and to private addresses: only where no stranger sets them"
    )
    limits: DependencyLimits = Field(
        DependencyLimits(deadline_ms=20_000, attempt_ms=15_000, at_once_max=128, waiting_max=256, wait_ms_max=2_000),
        description="What all calls may cost together; longer than a receiver's, whose own circuit opens when it hangs",
    )
    receiver: DependencyLimits = Field(
        DependencyLimits(
            deadline_ms=12_000, attempt_ms=10_000, at_once_max=4, waiting_max=4, wait_ms_max=1_000, attempts_max=1,
            failures_max=5, open_ms=30_000,
        ),
        description="What the calls of one receiver may cost, and when it counts as down",
    )  # fmt: skip
    receivers_max: int = Field(2_000, ge=1, description="Receivers whose circuits are remembered")
    ops_url: str = Field("", description="Where ops are told of alerts, at any address; empty for nowhere")
    ops_secret_file: Path | None = Field(
        None, description="What ops' webhook is signed with: a secret (whsec_...) a line; every one signs"
    )

    @model_validator(mode="after")
    def _receivers_end_first(self) -> Self:
        if self.limits.attempt_ms <= self.receiver.deadline_ms:
            raise ValueError("limits.attempt_ms must be longer than receiver.deadline_ms: one that hangs is not all")
        return self

    @model_validator(mode="after")
    def _ops_can_verify(self) -> Self:
        try:
            can_verify = not self.ops_url or bool(self.ops_secrets())
        except OSError as error:
            raise ValueError(f"ops_secret_file cannot be read: {error.strerror}") from error
        if not can_verify:
            raise ValueError("ops_url needs ops_secret_file, with a secret")
        return self

    def ops_secrets(self) -> tuple[str, ...]:
        """Return what ops' webhook is signed with."""
        return tuple(self.ops_secret_file.read_text().split()) if self.ops_secret_file else ()


class AddressForbiddenError(NamedError):
    """A host's address is none of the public internet's."""

    def __init__(self, host: str) -> None:
        super().__init__("ADDRESS_FORBIDDEN", f"{host} is not on the public internet")


class NoSuccessError(NamedError):
    """A receiver has answered, and not that it has taken it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP_{status}", f"status {status}")


class _PublicResolver(AbstractResolver):
    """Finds hosts on the public internet. What it has found is what is connected to: names change their meaning."""

    def __init__(self) -> None:
        self._any = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return a host's addresses. Raises AddressForbiddenError."""
        found = await self._any.resolve(host, port, family)
        if not all(ip_address(one["host"]).is_global for one in found):
            raise AddressForbiddenError(host)
        return found

    async def close(self) -> None:
        """Give back what it holds."""
        await self._any.close()


class WebhookProvider:
    """Posts to merchants' systems."""

    name: ClassVar[str] = "webhook"
    channels: ClassVar[frozenset[str]] = frozenset({"webhook"})
    drops_repeats: ClassVar[bool] = True
    can_look_up: ClassVar[bool] = False
    Settings = WebhookSettings

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._receivers: OrderedDict[UUID | None, Dependency] = OrderedDict()
        self.ops_url = settings.ops_url
        self._ops_secrets = settings.ops_secrets()
        self._anywhere = _session(settings, None)
        self._public = _session(settings, _PublicResolver())

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Post one message, signed with every secret that is good."""
        return await self._receiver(outgoing.merchant_id).call(self._post, outgoing)

    def room_for(self, merchant_id: UUID | None) -> int:
        """Return how many messages a merchant's receiver may be given now: one where only a probe is let through."""
        return self._receiver(merchant_id).room

    def is_down(self, merchant_id: UUID | None) -> bool:
        """Whether a merchant's receiver is left alone, but for probes."""
        return self._receiver(merchant_id).state in (CircuitState.OPEN, CircuitState.HALF_OPEN)

    def _receiver(self, merchant_id: UUID | None) -> Dependency:
        receiver = self._receivers.get(merchant_id)
        if receiver is None:
            receiver = Dependency("notification.webhook_receiver", self._settings.receiver, _classify)
            self._receivers[merchant_id] = receiver
            if len(self._receivers) > self._settings.receivers_max:
                self._receivers.popitem(last=False)
        self._receivers.move_to_end(merchant_id)
        return receiver

    async def _post(self, outgoing: Outgoing) -> Accepted:
        is_ours = outgoing.merchant_id is None
        secrets = self._ops_secrets if is_ours else outgoing.secrets
        url, body = URL(outgoing.address), outgoing.words.body
        webhook_id, now = str(outgoing.message_id), datetime.now(UTC).replace(microsecond=0)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Lastmile-Webhooks",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, now, body) for secret in secrets),
        }
        session = self._anywhere
        if not is_ours and not self._settings.private_receivers:
            session = self._public
            _refuse_private(url.host or "")
        # What a receiver says besides its status is of no interest, however much it is.
        async with session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
            status = response.status
        if status == _GONE:
            raise RejectedError(GONE, "its receiver wants no more")
        if status >= _REDIRECT:
            raise NoSuccessError(status)
        return Accepted(state=MessageState.DELIVERED)

    def classify(self, error: Exception) -> Verdict | None:
        """Leave errors to whoever sends: the receiver's own dependency has classified them."""
        if isinstance(error, AttemptTimeoutError):
            # One receiver's, whatever it is: it says nothing of the others.
            return Verdict(counts=False, retryable=False, outcome=Outcome.UNKNOWN)
        return REJECTED if isinstance(error, RejectedError) else None

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Say nothing: a receiver cannot be asked, and need not be."""
        return None

    async def receipt_of(self, callback: Callback) -> Receipt | None:
        """Say nothing: a receiver does not call back."""
        return None

    async def close(self) -> None:
        """Close its connections."""
        await self._anywhere.close()
        await self._public.close()


def _session(settings: WebhookSettings, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.limits.at_once_max, resolver=resolver),
        # The dependency bounds each attempt.
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _refuse_private(host: str) -> None:
    """Raise AddressForbiddenError for a host that is an address, which no resolver is asked about, and not public."""
    if ":" not in host and not host.replace(".", "").isdigit():
        return
    try:
        is_public = ip_address(host).is_global
    except ValueError:
        # There are more ways to write an address than one, and all of them are connected to.
        is_public = False
    if not is_public:
        raise AddressForbiddenError(host)


def _classify(error: Exception) -> Verdict | None:
    if isinstance(error, RejectedError):
        return REJECTED
    known = (aiohttp.ClientError, OSError, AttemptTimeoutError, AddressForbiddenError, NoSuccessError, ValueError)
    return _AGAIN if isinstance(error, known) else None

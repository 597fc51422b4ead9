"""Where providers call back: POST /receipts/<provider>. What is not theirs is refused, counted, and changes nothing.

The provider's own file verifies a callback. Here it is bounded, taken once, and believed where the lifecycle lets it.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.postgres.errors import UNREACHABLE
from libs.postgres.tenancy import visible
from libs.privacy.vault import Vault
from libs.telemetry import error_text
from services.notification import metrics
from services.notification.providers.base import Provider
from services.notification.providers.outgoing import AddressNews, Callback, Receipt, ReceiptError
from services.notification.receipts import store
from services.notification.receipts.guard import ClientGuard
from services.notification.recipients import places, suppressing
from services.notification.sending.store import receive
from services.notification.visibility import OPERATOR

log = logging.getLogger("notification")

# What is not theirs gets as little of an answer as possible.
_STATUS = {
    "forged": 403,
    "stale": 409,
    "replayed": 409,
    "oversized": 413,
    "unreadable": 400,
    "unreachable": 503,
    "slow": 408,
    "too_many": 429,
}


class ReceiptLimits(BaseModel):
    """What a callback may hold."""

    model_config = ConfigDict(frozen=True)

    body_bytes_max: int = Field(65_536, ge=1, description="Longest body of a callback")
    body_timeout_s: float = Field(5.0, gt=0, description="A body must be here within this")
    client_bodies_max: int = Field(200, ge=1, description="Callbacks of one client, by its host, under way at once")
    client_per_s_max: float = Field(1_000, ge=1, description="Callbacks of one client a second")
    client_connections_max: int = Field(500, ge=1, description="Connections of one client open at once")
    clients_max: int = Field(10_000, ge=1, description="Clients whose callbacks are counted")
    connection_s_max: float = Field(30.0, gt=0, description="A connection ends after this, whatever it sends")
    connections_max: int = Field(2_000, ge=1, description="Connections open at once; one more is answered with 503")


class ReceiptEndpoint:
    """Takes callbacks for every provider in use."""

    def __init__(
        self, primary: asyncpg.Pool, providers: Mapping[str, Provider], vault: Vault, limits: ReceiptLimits
    ) -> None:
        self._primary = primary
        self._providers = providers
        self._vault = vault
        self._limits = limits
        self._guard = ClientGuard(limits.client_bodies_max, limits.client_per_s_max, limits.clients_max)

    @property
    def route(self) -> Route:
        """The route."""
        return Route("/receipts/{provider}", self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        """Take one callback."""
        name = request.path_params["provider"]
        provider = self._providers.get(name)
        if provider is None:
            return Response(status_code=404)
        try:
            with self._guard.admitted(request.client.host if request.client else "unknown"):
                outcome = await self._take(name, provider, request)
        except ReceiptError as error:
            metrics.RECEIPTS.labels(name, error.outcome).inc()
            log.warning("a callback is refused", extra={"provider": name, "outcome": error.outcome})
            # What is left of a body that was not read would be taken for the next request.
            return Response(status_code=_STATUS.get(error.outcome, 400), headers={"Connection": "close"})
        except UNREACHABLE as error:
            # The provider calls again.
            log.warning("a callback was not taken", extra={"provider": name, "error": error_text(error)})
            return Response(status_code=503, headers={"Retry-After": "5"})
        metrics.RECEIPTS.labels(name, outcome).inc()
        return Response(status_code=204)

    async def _take(self, name: str, provider: Provider, request: Request) -> str:
        body = await self._body(request)
        headers = {key.lower(): value for key, value in request.headers.items()}
        said = await provider.receipt_of(Callback(request.url.query, headers, body))
        if said is None:
            return "of no interest"
        known_by = said.callback_id.encode() or request.url.query.encode() + b"\n" + body
        digest = hashlib.sha256(f"{name}\n".encode() + known_by).digest()
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            take = store.take_news if isinstance(said, AddressNews) else store.take
            if not await take(connection, digest, datetime.now(UTC)):
                raise ReceiptError("replayed")
            if isinstance(said, AddressNews):
                return await self._heard(connection, said)
            return await self._believed(connection, name, said)

    async def _body(self, request: Request) -> bytes:
        body = b""
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for part in request.stream():
                    body += part
                    if len(body) > self._limits.body_bytes_max:
                        raise ReceiptError("oversized")
        except TimeoutError:
            raise ReceiptError("slow") from None
        return body

    async def _believed(self, connection: asyncpg.Connection, provider: str, receipt: Receipt) -> str:
        moved = await receive(connection, provider, receipt, datetime.now(UTC))
        if not receipt.suppress:
            return receipt.state.value if moved else "changes nothing"
        # Whoever complains does so of what has arrived: the message may stay as it is, its address does not.
        for channel, sealed in await store.addresses_of(connection, provider, receipt):
            address = self._vault.open(sealed, places.ADDRESS)
            await suppressing.suppress(connection, self._vault, channel, address, receipt.suppress)
        return receipt.state.value if moved else "suppressed"

    async def _heard(self, connection: asyncpg.Connection, news: AddressNews) -> str:
        if news.suppress:
            await suppressing.suppress(connection, self._vault, news.channel, news.address, news.suppress)
            return "suppressed"
        await suppressing.lift(connection, self._vault, news.channel, news.address, "STOP")
        return "lifted"

"""Who a credential belongs to: an API key by its hash, or an access token by its signature."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.cache.flights import Flights
from libs.grpc_server.errors import UnauthenticatedError
from libs.grpc_server.identity import Principal, TokenSigner, TokenVerifier
from libs.postgres.errors import UNREACHABLE
from libs.postgres.replica import QueryPool
from services.gateway.auth import keys, store
from services.gateway.auth.store import ApiKey


class CredentialLimits(BaseModel):
    """The limits of what is remembered of credentials."""

    model_config = ConfigDict(frozen=True)

    known_max: int = Field(50_000, gt=0, description="Credentials remembered")
    known_s: float = Field(10.0, gt=0, description="A key is looked up again after this, so a revoked one ends by then")
    unknown_s: float = Field(2.0, gt=0, description="A key that is unknown is looked up again after this")
    token_s: float = Field(300.0, gt=0, description="Lifetime of an access token")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom requests are counted for, the access token to call services with, and whose data that opens.

    An anonymous call has neither token nor scope.
    """

    rate_key: str
    token: str | None = None
    scope: str | None = None


class Credentials:
    """Identifies callers, remembering each for a few seconds."""

    def __init__(
        self,
        queries: QueryPool,
        signer: TokenSigner,
        verifier: TokenVerifier,
        limits: CredentialLimits,
    ) -> None:
        self._queries = queries
        self._signer = signer
        self._verifier = verifier
        self._limits = limits
        self._known: OrderedDict[bytes, tuple[ApiKey | None, float]] = OrderedDict()
        self._tokens: OrderedDict[Principal, tuple[str, datetime]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._lookups: Flights[ApiKey | None] = Flights()

    def is_new_key(self, secret: str) -> bool:
        """Whether nothing is remembered of an API key, so that a database has to be asked."""
        return keys.KEY.match(secret) is not None and keys.hashed(secret) not in self._known

    async def identify(self, secret: str) -> Caller | None:
        """Return who the API key or access token belongs to, or None."""
        if not keys.KEY.match(secret):
            try:
                principal = self._verifier.verify(secret)
            except UnauthenticatedError:
                return None
            return (
                None
                if principal.subject in self._ended
                else Caller(f"key:{principal.subject}", secret, principal.scope)
            )
        api_key = await self.find(secret)
        if api_key is None:
            return None
        token, _ = self.token_of(api_key)
        return Caller(f"key:{api_key.id}", token, _principal_of(api_key).scope)

    async def find(self, key: str) -> ApiKey | None:
        """Return what is known of a valid API key, or None; raises one of UNREACHABLE when no database answers."""
        if not keys.KEY.match(key):
            return None
        key_sha256, now_s = keys.hashed(key), time.monotonic()
        known = self._known.get(key_sha256)
        if known is None or known[1] <= now_s:
            is_new = known is None
            # A key that expires here has many callers at once.
            looking_up = self._lookups.start(key_sha256, lambda: self._look_up(key_sha256, is_new=is_new))
            api_key = await asyncio.shield(looking_up)
            known = (api_key, now_s + (self._limits.known_s if api_key else self._limits.unknown_s))
            self._remember(key_sha256, known)
        api_key = known[0]
        if api_key is None or str(api_key.id) in self._ended:
            return None
        return api_key if api_key.is_valid(datetime.now(UTC)) else None

    async def _look_up(self, key_sha256: bytes, *, is_new: bool) -> ApiKey | None:
        try:
            api_key, is_from_primary = await self._read(key_sha256)
        except UNREACHABLE:
            # The standby went away in the middle: now that is known.
            api_key, is_from_primary = await self._read(key_sha256)
        if api_key is not None or not is_new or is_from_primary:
            return api_key
        # A key made a moment ago may not have reached the standby. A stream of unknown ones gets no further than the
        # budget of queries on the primary.
        async with self._queries.reading_primary(store.READER, "unknown_key") as reading:
            return await store.find(reading.connection, key_sha256)

    async def _read(self, key_sha256: bytes) -> tuple[ApiKey | None, bool]:
        async with self._queries.reading(store.READER) as reading:
            return await store.find(reading.connection, key_sha256), reading.position is None

    def end(self, api_key_id: UUID) -> None:
        """Open nothing with a key that has been revoked here, though the standby may not have heard of it yet."""
        self._ended[str(api_key_id)] = None
        if len(self._ended) > self._limits.known_max:
            self._ended.popitem(last=False)

    def token_of(self, api_key: ApiKey) -> tuple[str, datetime]:
        """Return an access token for the key's owner: with half of its lifetime left, if the key has as long."""
        now = datetime.now(UTC)
        principal = _principal_of(api_key)
        made = self._tokens.get(principal)
        if made is None or (made[1] - now).total_seconds() < self._limits.token_s / 2:
            made = self._signer.sign(principal, now, api_key.expires_at)
            self._tokens[principal] = made
            if len(self._tokens) > self._limits.known_max:
                self._tokens.popitem(last=False)
        return made

    def _remember(self, key_sha256: bytes, known: tuple[ApiKey | None, float]) -> None:
        self._known[key_sha256] = known
        self._known.move_to_end(key_sha256)
        if len(self._known) > self._limits.known_max:
            self._known.popitem(last=False)


def _principal_of(api_key: ApiKey) -> Principal:
    return Principal(
        str(api_key.id),
        api_key.role,
        str(api_key.merchant_id) if api_key.merchant_id else None,
        str(api_key.partner_id) if api_key.partner_id else None,
    )

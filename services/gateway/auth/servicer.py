"""AccessService: translates between the calls and API keys."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.assignment.v1 import merchant_pb2, merchant_pb2_grpc, partner_pb2, partner_pb2_grpc
from lastmile.common.v1 import access_pb2 as common_access_pb2
from lastmile.gateway.v1 import access_pb2, access_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import (
    FieldViolation,
    InvalidArgumentError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from libs.grpc_server.identity import Role
from libs.ids import new_id
from libs.postgres.log_position import number_of, position
from libs.postgres.replica import QueryPool
from services.gateway.auth import keys, store
from services.gateway.auth.credentials import Credentials
from services.gateway.auth.store import ApiKey

_ROLES = {
    common_access_pb2.ROLE_MERCHANT: Role.MERCHANT,
    common_access_pb2.ROLE_OPS: Role.OPS,
    common_access_pb2.ROLE_PARTNER: Role.PARTNER,
}
_ROLE_NUMBERS = {role: number for number, role in _ROLES.items()}
_CHECK_TIMEOUT_S = 3.0


class AccessServicer(access_pb2_grpc.AccessServiceServicer):
    """Answers AccessService. `assignment` is a channel to the service that knows merchants and partners."""

    def __init__(
        self, primary: asyncpg.Pool, queries: QueryPool, credentials: Credentials, assignment: grpc.aio.Channel
    ) -> None:
        self._primary = primary
        self._queries = queries
        self._credentials = credentials
        self._merchants = merchant_pb2_grpc.MerchantServiceStub(assignment)
        self._partners = partner_pb2_grpc.PartnerServiceStub(assignment)

    async def CreateApiKey(  # noqa: N802 - named by the proto
        self, request: access_pb2.CreateApiKeyRequest, context: Any
    ) -> access_pb2.CreateApiKeyResponse:
        """Make an API key."""
        role = _ROLES[request.role]
        _check_subjects(request, role)
        await self._check_exists(request, context)
        expires_at = request.expires_at.ToDatetime(tzinfo=UTC) if request.HasField("expires_at") else None
        key, now = keys.make(), datetime.now(UTC)
        merchant_id = UUID(request.merchant_id) if request.merchant_id else None
        partner_id = UUID(request.partner_id) if request.partner_id else None
        api_key = ApiKey(new_id(), request.name, role, merchant_id, partner_id, now, expires_at)
        await store.create(self._primary, keys.hashed(key), api_key)
        await self._tell_position()
        return access_pb2.CreateApiKeyResponse(api_key=_api_key_to(api_key), secret=key)

    async def ListApiKeys(  # noqa: N802 - named by the proto
        self, request: access_pb2.ListApiKeysRequest, context: Any
    ) -> access_pb2.ListApiKeysResponse:
        """List API keys, newest first."""
        size = paging.page_size(request)
        before_id, call = paging.decode_id(request), current_call()
        wanted = number_of(call.consistency_token) if call.consistency_token else 0
        async with self._queries.reading(store.READER, wanted) as reading:
            found = await store.search(reading.connection, before_id, size + 1)
            call.origin = self._queries.origin_of(reading)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return access_pb2.ListApiKeysResponse(api_keys=map(_api_key_to, found[:size]), next_page_token=token)

    async def RevokeApiKey(  # noqa: N802 - named by the proto
        self, request: access_pb2.RevokeApiKeyRequest, context: Any
    ) -> access_pb2.RevokeApiKeyResponse:
        """End an API key."""
        api_key = await store.revoke(self._primary, UUID(request.api_key_id), datetime.now(UTC))
        if api_key is None:
            raise NotFoundError(f"no API key has the id {request.api_key_id}", reason="API_KEY_NOT_FOUND")
        self._credentials.end(api_key.id)
        await self._tell_position()
        return access_pb2.RevokeApiKeyResponse(api_key=_api_key_to(api_key))

    async def IssueToken(  # noqa: N802 - named by the proto
        self, request: access_pb2.IssueTokenRequest, context: Any
    ) -> access_pb2.IssueTokenResponse:
        """Exchange an API key for an access token."""
        api_key = await self._credentials.find(request.api_key)
        if api_key is None:
            raise UnauthenticatedError("the API key is unknown, expired or revoked", reason="CREDENTIAL_INVALID")
        token, expires_at = self._credentials.token_of(api_key)
        return access_pb2.IssueTokenResponse(access_token=token, expires_at=_timestamp(expires_at))

    async def _tell_position(self) -> None:
        current_call().response_metadata["consistency-token"] = await position(self._primary)

    async def _check_exists(self, request: access_pb2.CreateApiKeyRequest, context: Any) -> None:
        metadata = [(key, value) for key, value in context.invocation_metadata() or () if key == "authorization"]
        # Whoever was made a moment ago exists, though neither the standby nor this caller may have heard of it.
        metadata.append(("consistency-token", await position(self._primary)))
        try:
            if request.merchant_id:
                wanted = merchant_pb2.GetMerchantRequest(merchant_id=request.merchant_id)
                await self._merchants.GetMerchant(wanted, metadata=metadata, timeout=_CHECK_TIMEOUT_S)
            if request.partner_id:
                partner = partner_pb2.GetPartnerRequest(partner_id=request.partner_id)
                await self._partners.GetPartner(partner, metadata=metadata, timeout=_CHECK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise UnavailableError("whom the key is for cannot be looked up now; try again") from None
            field = "merchant_id" if request.merchant_id else "partner_id"
            raise InvalidArgumentError.of(FieldViolation(field, "is unknown", f"{field}.known")) from None


def _check_subjects(request: access_pb2.CreateApiKeyRequest, role: Role) -> None:
    violations = []
    for field, owner in (("merchant_id", Role.MERCHANT), ("partner_id", Role.PARTNER)):
        given = bool(getattr(request, field))
        if given != (role is owner):
            said = f"is required for role {owner}" if role is owner else f"is only for role {owner}"
            violations.append(FieldViolation(field, said, "api_key.subject"))
    if violations:
        raise InvalidArgumentError.of(*violations)


def _api_key_to(api_key: ApiKey) -> access_pb2.ApiKey:
    proto = access_pb2.ApiKey(
        id=str(api_key.id),
        name=api_key.name,
        role=_ROLE_NUMBERS[api_key.role],
        merchant_id=str(api_key.merchant_id or ""),
        partner_id=str(api_key.partner_id or ""),
        created_at=_timestamp(api_key.created_at),
    )
    for name in ("expires_at", "revoked_at"):
        at = getattr(api_key, name)
        if at is not None:
            getattr(proto, name).CopyFrom(_timestamp(at))
    return proto


def _timestamp(at: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(at)
    return result

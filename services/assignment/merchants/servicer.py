"""MerchantService: translates between the calls and the noun's store."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.assignment.v1 import merchant_pb2, merchant_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import InvalidArgumentError
from libs.ids import new_id
from services.assignment.database import Database
from services.assignment.errors import MerchantNotFoundError
from services.assignment.merchants import rules, store
from services.assignment.merchants.codec import created_event, merchant_to, partners_changed_event, partners_to
from services.assignment.merchants.merchant import Merchant, MerchantPartners


class MerchantServicer(merchant_pb2_grpc.MerchantServiceServicer):
    """Answers MerchantService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateMerchant(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.CreateMerchantRequest, context: Any
    ) -> merchant_pb2.CreateMerchantResponse:
        """Register a merchant."""
        call = current_call()
        merchant = Merchant(new_id(), request.name, request.reference, datetime.now(UTC))

        async def effect(connection: asyncpg.Connection) -> bytes:
            await store.create(connection, merchant, created_event(merchant, call.traceparent))
            return merchant_pb2.CreateMerchantResponse(merchant=merchant_to(merchant)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        return merchant_pb2.CreateMerchantResponse.FromString(response)

    async def GetMerchant(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.GetMerchantRequest, context: Any
    ) -> merchant_pb2.GetMerchantResponse:
        """Return one merchant; the database hides all but itself from a merchant."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            merchant = await store.get(connection, UUID(request.merchant_id))
        if merchant is None:
            raise _not_found(request.merchant_id)
        return merchant_pb2.GetMerchantResponse(merchant=merchant_to(merchant))

    async def ListMerchants(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.ListMerchantsRequest, context: Any
    ) -> merchant_pb2.ListMerchantsResponse:
        """List merchants, oldest first."""
        call, size = current_call(), paging.page_size(request)
        after_id = paging.decode_id(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, after_id=after_id, reference=request.reference, rows_max=size + 1)
        page = found[:size]
        token = paging.encode(request, str(page[-1].id)) if len(found) > size else ""
        return merchant_pb2.ListMerchantsResponse(merchants=map(merchant_to, page), next_page_token=token)

    async def GetMerchantPartners(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.GetMerchantPartnersRequest, context: Any
    ) -> merchant_pb2.GetMerchantPartnersResponse:
        """Return the partners that a merchant insists on and refuses; the database hides others' from a merchant."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            lists = await store.get_partners(connection, UUID(request.merchant_id))
        if lists is None:
            raise _not_found(request.merchant_id)
        return merchant_pb2.GetMerchantPartnersResponse(partners=partners_to(lists))

    async def SetMerchantPartners(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.SetMerchantPartnersRequest, context: Any
    ) -> merchant_pb2.SetMerchantPartnersResponse:
        """Replace both lists."""
        call, now = current_call(), datetime.now(UTC)
        allowed = tuple(map(UUID, request.allowed_partner_ids))
        denied = tuple(map(UUID, request.denied_partner_ids))
        wanted = MerchantPartners(UUID(request.merchant_id), allowed, denied)
        expected = request.expected_version if request.HasField("expected_version") else None

        async def effect(connection: asyncpg.Connection) -> bytes:
            if await store.get(connection, wanted.merchant_id) is None:
                raise _not_found(request.merchant_id)
            existing = await store.existing_partners(connection, {*allowed, *denied})
            violations = rules.list_violations(allowed, denied, existing)
            if violations:
                raise InvalidArgumentError.of(*violations[:100])
            lists = await store.set_partners(connection, wanted, expected, now)
            await store.tell(connection, partners_changed_event(lists, now, call.traceparent))
            return merchant_pb2.SetMerchantPartnersResponse(partners=partners_to(lists)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        return merchant_pb2.SetMerchantPartnersResponse.FromString(response)


def _not_found(merchant_id: str) -> MerchantNotFoundError:
    return MerchantNotFoundError(f"no merchant that you may see has the id {merchant_id}")

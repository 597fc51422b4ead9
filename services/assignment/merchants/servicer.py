"""MerchantService: translates between the calls and the noun's store."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.assignment.v1 import merchant_pb2, merchant_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.ids import new_id
from libs.postgres.log_messages import emit
from services.assignment.database import Database
from services.assignment.errors import MerchantNotFoundError, ReferenceTakenError
from services.assignment.events import LOG_PREFIX
from services.assignment.merchants import store
from services.assignment.merchants.codec import created_event, merchant_to
from services.assignment.merchants.store import Merchant


class MerchantServicer(merchant_pb2_grpc.MerchantServiceServicer):
    """Answers MerchantService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateMerchant(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.CreateMerchantRequest, context: Any
    ) -> merchant_pb2.CreateMerchantResponse:
        """Register a merchant."""
        call = current_call()

        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            merchant = Merchant(new_id(), request.name, request.reference, now)
            holder = await store.create(connection, merchant)
            if holder is not None:
                said = f"a merchant has the reference {request.reference!r} already"
                raise ReferenceTakenError(said, metadata={"merchant_id": str(holder)})
            await emit(connection, LOG_PREFIX, [created_event(merchant, call.traceparent)])
            return merchant_pb2.CreateMerchantResponse(merchant=merchant_to(merchant)).SerializeToString()

        return merchant_pb2.CreateMerchantResponse.FromString(await self._database.run(call, request, effect))

    async def GetMerchant(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.GetMerchantRequest, context: Any
    ) -> merchant_pb2.GetMerchantResponse:
        """Return one merchant."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            merchant = await store.get(connection, UUID(request.merchant_id))
        if merchant is None:
            raise MerchantNotFoundError(f"no merchant that you may see has the id {request.merchant_id}")
        return merchant_pb2.GetMerchantResponse(merchant=merchant_to(merchant))

    async def ListMerchants(  # noqa: N802 - named by the proto
        self, request: merchant_pb2.ListMerchantsRequest, context: Any
    ) -> merchant_pb2.ListMerchantsResponse:
        """List merchants, oldest first."""
        call, size = current_call(), paging.page_size(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, paging.decode_id(request), request.reference, size + 1)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return merchant_pb2.ListMerchantsResponse(merchants=map(merchant_to, found[:size]), next_page_token=token)

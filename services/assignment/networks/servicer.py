"""PartnerNetworkService: translates between the calls and the noun's store."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
from lastmile.assignment.v1 import network_pb2, network_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from services.assignment.database import Database
from services.assignment.networks import store
from services.assignment.networks.codec import changed_event, network_to


class PartnerNetworkServicer(network_pb2_grpc.PartnerNetworkServiceServicer):
    """Answers PartnerNetworkService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def SetNetworkHealth(  # noqa: N802 - named by the proto
        self, request: network_pb2.SetNetworkHealthRequest, context: Any
    ) -> network_pb2.SetNetworkHealthResponse:
        """Say how well a network's API answers."""
        call, now = current_call(), datetime.now(UTC)

        async def effect(connection: asyncpg.Connection) -> bytes:
            network, changed = await store.set_health(
                connection, request.network_code, request.health, request.note, now
            )
            if changed:
                await store.tell(connection, [changed_event(network, call.traceparent)])
            return network_pb2.SetNetworkHealthResponse(network=network_to(network)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        return network_pb2.SetNetworkHealthResponse.FromString(response)

    async def ListPartnerNetworks(  # noqa: N802 - named by the proto
        self, request: network_pb2.ListPartnerNetworksRequest, context: Any
    ) -> network_pb2.ListPartnerNetworksResponse:
        """List networks in the order of their codes."""
        call, size = current_call(), paging.page_size(request)
        after_code = paging.decode(request) or ""
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, after_code, size + 1)
        token = paging.encode(request, found[size - 1].code) if len(found) > size else ""
        return network_pb2.ListPartnerNetworksResponse(networks=map(network_to, found[:size]), next_page_token=token)

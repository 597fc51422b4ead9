"""The service's two ways to the database: commands on the primary, queries on the standby."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
from google.protobuf.message import Message

from libs.grpc_server.call import Call
from libs.grpc_server.identity import Principal
from libs.postgres.replica import QueryPool, position
from libs.postgres.tenancy import visible
from services.assignment.idempotency import store as idempotency
from services.assignment.idempotency.command import command_of
from services.assignment.visibility import OPERATOR, visibility_of


class Database:
    """Gives transactions that see what their principal may see."""

    def __init__(self, primary: asyncpg.Pool, queries: QueryPool) -> None:
        self._primary = primary
        self._queries = queries

    @asynccontextmanager
    async def command(self, principal: Principal) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection to the primary, in a transaction."""
        async with self._primary.acquire() as connection, visible(connection, visibility_of(principal)):
            yield connection

    @asynccontextmanager
    async def query(self, principal: Principal, token: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection to the standby, or one that has replayed `token`, in a transaction."""
        async with self._queries.acquire(token) as connection, visible(connection, visibility_of(principal)):
            yield connection

    @asynccontextmanager
    async def reference_data(self, fresh: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection for what belongs to no merchant, such as cities; `fresh` asks the primary."""
        if fresh:
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                yield connection
        else:
            async with self._queries.acquire() as connection, visible(connection, OPERATOR):
                yield connection

    async def run(
        self, call: Call, request: Message, effect: Callable[[asyncpg.Connection, datetime], Awaitable[bytes]]
    ) -> bytes:
        """Run a command once for its idempotency key, and return its serialized answer, or the stored one.

        `effect` works in the command's transaction. The consistency token goes into the call's metadata.
        """
        now = datetime.now(UTC)
        async with self._primary.acquire() as connection:
            async with visible(connection, visibility_of(call.principal)):

                async def answer() -> bytes:
                    return await effect(connection, now)

                response, replayed = await idempotency.once(connection, command_of(call, request), now, answer)
            call.response_metadata["consistency-token"] = await position(connection)
        if replayed:
            call.response_metadata["idempotent-replayed"] = "true"
        return response

"""The service's database: commands on the primary, queries on the standby, each seeing what its caller may see."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
from google.protobuf.message import Message

from libs.grpc_server.call import Call, call_if_any
from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_position import number_of, position
from libs.postgres.replica import QueryPool
from libs.postgres.tenancy import visible
from services.assignment.idempotency.command import command_of
from services.assignment.idempotency.store import once
from services.assignment.visibility import reading_visibility_of, visibility_of

# Who reads when no caller does: caches, and the service's own housekeeping.
SERVICE = Principal("assignment", Role.OPS)


class Database:
    """The pools of one process. Queries have pools and roles of their own: no query can hold up a command."""

    def __init__(self, primary: asyncpg.Pool, queries: QueryPool) -> None:
        self.primary = primary
        self.queries = queries

    @asynccontextmanager
    async def command(self, principal: Principal) -> AsyncIterator[asyncpg.Connection]:
        """Run a transaction on the primary that sees what `principal` may see."""
        async with self.primary.acquire() as connection, visible(connection, visibility_of(principal)):
            yield connection

    @asynccontextmanager
    async def query(self, principal: Principal, consistency_token: str | None) -> AsyncIterator[asyncpg.Connection]:
        """Run a reading transaction that sees what `principal` may see, and the write that gave out the token.

        The call being answered is told where its answer comes from. Raises QueriesTooManyError and
        PrimaryBudgetSpentError.
        """
        call = call_if_any()
        wanted = number_of(consistency_token) if consistency_token else 0
        hoped_for = call.hoped_for if call else 0
        async with self.queries.reading(reading_visibility_of(principal), wanted, hoped_for) as reading:
            try:
                yield reading.connection
            finally:
                if call is not None:
                    call.origin = self.queries.origin_of(reading)

    async def after_commit(self, call: Call) -> None:
        """Tell the caller the consistency token of what is committed now."""
        async with self.primary.acquire() as connection:
            await _tell_position(call, connection)

    async def run_command(
        self, call: Call, request: Message, effect: Callable[[asyncpg.Connection], Awaitable[bytes]]
    ) -> bytes:
        """Run `effect` in one transaction with the call's idempotency key; return its serialized answer.

        A key that came before with the same request has its stored answer returned instead, and the caller is told
        so. Raises IdempotencyKeyInFlightError, IdempotencyKeyReusedError, and whatever `effect` raises.
        """
        async with self.primary.acquire() as connection:
            async with visible(connection, visibility_of(call.principal)):
                response, replayed = await once(
                    connection, command_of(call, request), datetime.now(UTC), lambda: effect(connection)
                )
            await _tell_position(call, connection)
        if replayed:
            call.response_metadata["idempotent-replayed"] = "true"
        return response


async def _tell_position(call: Call, connection: asyncpg.Connection) -> None:
    call.response_metadata["consistency-token"] = await position(connection)

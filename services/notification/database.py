"""The service's database: commands on the primary, queries on the standby, each seeing what its caller may see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from libs.grpc_server.call import Call, call_if_any
from libs.postgres.log_position import number_of, position
from libs.postgres.replica import QueryPool
from libs.postgres.tenancy import visible
from services.notification.visibility import reading_visibility_of, visibility_of


class Database:
    """The pools of one process. Queries have pools and roles of their own: no query can hold up a command."""

    def __init__(self, primary: asyncpg.Pool, queries: QueryPool) -> None:
        self._primary = primary
        self._queries = queries

    @asynccontextmanager
    async def command(self, call: Call) -> AsyncIterator[asyncpg.Connection]:
        """Run a transaction on the primary, and tell the caller the consistency token of what it has committed."""
        async with self._primary.acquire() as connection:
            async with visible(connection, visibility_of(call.principal)):
                yield connection
            call.response_metadata["consistency-token"] = await position(connection)

    @asynccontextmanager
    async def query(self, call: Call) -> AsyncIterator[asyncpg.Connection]:
        """Run a reading transaction that sees the caller's own writes by their token; the call is told its origin.

        Raises QueriesTooManyError and PrimaryBudgetSpentError.
        """
        wanted = number_of(call.consistency_token) if call.consistency_token else 0
        async with self._queries.reading(reading_visibility_of(call.principal), wanted, 0) as reading:
            try:
                yield reading.connection
            finally:
                answered = call_if_any()
                if answered is not None:
                    answered.origin = self._queries.origin_of(reading)

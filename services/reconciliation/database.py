"""The service's database: commands on the primary, queries on the standby, each seeing what its caller may see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from libs.grpc_server.call import Call
from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_position import number_of, position
from libs.postgres.replica import QueryPool
from libs.postgres.tenancy import Visibility, visible

OPERATOR = Visibility("reconciliation_operator")
READER = Visibility("reconciliation_operator_reader")
TENANT_READER = "reconciliation_tenant_reader"


class Database:
    """The pools of one process."""

    def __init__(self, primary: asyncpg.Pool, queries: QueryPool) -> None:
        self._primary = primary
        self._queries = queries

    @asynccontextmanager
    async def command(self, call: Call) -> AsyncIterator[asyncpg.Connection]:
        """Run a transaction of ops on the primary, and tell the caller the consistency token of its commit."""
        async with self._primary.acquire() as connection:
            async with visible(connection, OPERATOR):
                yield connection
            call.response_metadata["consistency-token"] = await position(connection)

    @asynccontextmanager
    async def query(self, call: Call) -> AsyncIterator[asyncpg.Connection]:
        """Run a reading transaction that sees what the caller may see, and the write that gave out its token.

        The call is told where its answer comes from. Raises QueriesTooManyError and PrimaryBudgetSpentError.
        """
        wanted = number_of(call.consistency_token) if call.consistency_token else 0
        async with self._queries.reading(_visibility_of(call.principal), wanted, call.hoped_for) as reading:
            try:
                yield reading.connection
            finally:
                call.origin = self._queries.origin_of(reading)


def _visibility_of(principal: Principal) -> Visibility:
    if principal.role is Role.MERCHANT:
        return Visibility.of(TENANT_READER, [principal.merchant_id])
    return READER

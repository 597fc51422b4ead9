"""Transactions that say first what they may see: one group role, and for a tenant role its merchants."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

# Serves no index: settings of the transaction.
_CHOOSE = "SELECT set_config('role', $1, true), set_config('lastmile.merchant_ids', $2, true)"


@dataclass(frozen=True, slots=True)
class Visibility:
    """What a transaction may see: the database role that it takes, and the merchants it is limited to."""

    role: str
    merchant_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, role: str, merchant_ids: Collection[object] = ()) -> "Visibility":
        """Make it from merchant ids of any kind, without repeats."""
        return cls(role, tuple(sorted({str(merchant_id) for merchant_id in merchant_ids})))


@asynccontextmanager
async def visible(connection: asyncpg.Connection, visibility: Visibility) -> AsyncIterator[asyncpg.Connection]:
    """Run a transaction on `connection` that sees what `visibility` allows."""
    async with connection.transaction():
        await connection.execute(_CHOOSE, visibility.role, ",".join(visibility.merchant_ids))
        yield connection

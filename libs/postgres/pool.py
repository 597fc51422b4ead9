"""Connection pools with every limit named."""

import asyncpg
from pydantic import BaseModel, ConfigDict, Field


class PoolLimits(BaseModel):
    """The limits of one connection pool."""

    model_config = ConfigDict(frozen=True)

    connections_min: int = Field(1, ge=0, description="Connections kept open")
    connections_max: int = Field(8, gt=0, description="Connections open at most")
    acquire_timeout_s: float = Field(5.0, gt=0, description="Longest wait for a free connection")
    statement_timeout_ms: int = Field(10_000, gt=0, description="A statement is cancelled after this")
    idle_in_transaction_timeout_ms: int = Field(30_000, gt=0, description="A forgotten transaction is ended after this")


async def create_pool(dsn: str, limits: PoolLimits, application_name: str) -> asyncpg.Pool:
    """Open a pool whose connections carry the limits and the application's name."""
    settings = {
        "application_name": application_name,
        "statement_timeout": str(limits.statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(limits.idle_in_transaction_timeout_ms),
        # Short set-based statements: compiling them costs more than it saves.
        "jit": "off",
        # Disks without moving heads: PostgreSQL's own 4 makes it prefer reading much in order to reading little.
        "random_page_cost": "1.1",
        # Starting workers takes longer than such statements, and they would take the processors of others.
        "max_parallel_workers_per_gather": "0",
        "timezone": "UTC",
    }
    return await asyncpg.create_pool(
        dsn,
        min_size=limits.connections_min,
        max_size=limits.connections_max,
        timeout=limits.acquire_timeout_s,
        command_timeout=limits.statement_timeout_ms / 1000 + 1,
        server_settings=settings,
        reset=_reset,
    )


async def _reset(connection: asyncpg.Connection) -> None:
    # What a transaction sets, ends with it (set_config's is_local), so a round trip of RESET ALL would undo nothing.
    if connection.is_in_transaction():
        await connection.reset()


async def ping(pool: asyncpg.Pool) -> None:
    """Ask the server for the smallest answer; raises what asyncpg or the network raises."""
    await pool.fetchval("SELECT 1")

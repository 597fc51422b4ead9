"""How much waits for providers, in PostgreSQL: every statement of this noun."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

# Served by messages_to_send. Beyond its limit a count says nothing more.
_DUE = """
SELECT count(*) FROM (
  SELECT FROM notification.messages WHERE state = 'planned' AND NOT digestible AND channel = ANY ($1::text[])
    AND send_after <= $2 LIMIT $3) AS due
"""
# Served by attempts_unknown.
_UNKNOWN = "SELECT count(*) FROM (SELECT FROM notification.attempts WHERE next_look_at IS NOT NULL LIMIT $1) AS unknown"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages that are due and wait, and attempts whose outcome is sought; neither is counted beyond a limit."""

    due: int
    unknown: int


async def backlog(connection: asyncpg.Connection, channels: list[str], now: datetime, rows_max: int) -> Backlog:
    """Count what waits."""
    due = await connection.fetchval(_DUE, channels, now, rows_max)
    return Backlog(due, await connection.fetchval(_UNKNOWN, rows_max))

"""Positions in the write-ahead log: text as PostgreSQL writes it, and the number that it stands for."""

import asyncpg

# Flushed covers every commit. Inserted would also cover records that nobody committed yet, which may wait for seconds
# before they are sent, and a standby never replays what it was not sent.
_POSITION = "SELECT pg_current_wal_flush_lsn()::text"


def number_of(text: str) -> int:
    """Return the position that a text such as "16/B374D848" stands for; ValueError for any other text."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def text_of(number: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


async def position(connection: asyncpg.Connection | asyncpg.Pool) -> str:
    """Return the consistency token of what is committed now; call it after the commit, on the primary."""
    return str(await connection.fetchval(_POSITION))

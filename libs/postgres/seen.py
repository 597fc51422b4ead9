"""Effects once: the ids of the events that a consumer has taken effect for, written in the transaction of the effect.

A service with handlers has this table in its schema, one row for each event and consumer, forgotten by age:

    CREATE TABLE <schema>.seen_events (consumer text, event_id uuid, PRIMARY KEY (consumer, event_id))
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from libs.ids import floor_at

# Served by the primary key. In order, so that two processes with the same events wait for each other, not in a circle.
_ADD = """
INSERT INTO {schema}.seen_events (consumer, event_id)
SELECT $1, id FROM unnest($2::uuid[]) AS e (id) GROUP BY id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
# Served by the primary key: ids begin with the time at which they were made.
_FORGET = "DELETE FROM {schema}.seen_events WHERE consumer = $1 AND event_id < $2"


async def unseen(connection: asyncpg.Connection, schema: str, consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Return those of `event_ids` that the consumer sees for the first time; they count as seen once this commits.

    Call it in the transaction of the effects. It waits for another transaction that has the same ids in hand.
    """
    rows = await connection.fetch(_ADD.format(schema=schema), consumer, list(event_ids))
    return {str(row["event_id"]) for row in rows}


async def forget_seen(connection: asyncpg.Connection, schema: str, consumer: str, before: datetime) -> None:
    """Forget events from before a time; those could be replayed to take effect again, if they still were anywhere."""
    await connection.execute(_FORGET.format(schema=schema), consumer, floor_at(before))

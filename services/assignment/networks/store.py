"""Partner networks in PostgreSQL: every statement of this noun."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.events import LOG_PREFIX
from services.assignment.networks.network import PartnerNetwork

_COLUMNS = "code, health, note, version, updated_at"
# Served by partner_networks_pkey. What says the same again changes nothing.
_SET_HEALTH = f"""
INSERT INTO assignment.partner_networks AS n ({_COLUMNS}) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (code) DO UPDATE SET health = excluded.health, note = excluded.note, version = n.version + 1,
  updated_at = excluded.updated_at
WHERE (n.health, n.note) IS DISTINCT FROM (excluded.health, excluded.note)
RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant
# Served by partner_networks_pkey.
_GET = f"SELECT {_COLUMNS} FROM assignment.partner_networks WHERE code = $1"  # noqa: S608 - a constant
# Served by partner_networks_pkey, whose order is the list's.
_LIST = f"SELECT {_COLUMNS} FROM assignment.partner_networks WHERE code > $1 ORDER BY code LIMIT $2"  # noqa: S608 - a constant


async def set_health(
    connection: asyncpg.Connection, code: str, health: float, note: str, now: datetime
) -> tuple[PartnerNetwork, bool]:
    """Store a network's health; return the network, and whether that changed anything. The caller emits the event."""
    changed = await connection.fetchrow(_SET_HEALTH, code, health, note, now)
    return PartnerNetwork(**(changed or await connection.fetchrow(_GET, code))), changed is not None


async def search(connection: asyncpg.Connection, after_code: str, rows_max: int) -> list[PartnerNetwork]:
    """Return networks in the order of their codes, after `after_code`."""
    return [PartnerNetwork(**row) for row in await connection.fetch(_LIST, after_code, rows_max)]


async def tell(connection: asyncpg.Connection, events: Sequence[str]) -> None:
    """Publish the events of what was stored, in its transaction."""
    await emit(connection, LOG_PREFIX, events)

"""Partner networks in PostgreSQL: every statement of this noun."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.events import LOG_PREFIX
from services.assignment.networks.network import PartnerNetwork

COLUMNS = """
  code, least(health, circuit_share) AS health, note, version, updated_at, health AS said_health, circuit_share,
  circuit_note
"""
# Served by partner_networks_pkey. What says the same again changes nothing.
_SET_HEALTH = f"""
INSERT INTO assignment.partner_networks AS n (code, health, note, version, updated_at) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (code) DO UPDATE SET health = excluded.health, note = excluded.note, version = n.version + 1,
  updated_at = excluded.updated_at
WHERE (n.health, n.note) IS DISTINCT FROM (excluded.health, excluded.note)
RETURNING {COLUMNS}
"""  # noqa: S608 - a constant
# Served by partner_networks_pkey. Likewise.
_SET_CIRCUIT = f"""
INSERT INTO assignment.partner_networks AS n (code, health, circuit_share, circuit_note, version, updated_at)
VALUES ($1, 1, $2, $3, 1, $4)
ON CONFLICT (code) DO UPDATE SET circuit_share = excluded.circuit_share, circuit_note = excluded.circuit_note,
  version = n.version + 1, updated_at = excluded.updated_at
WHERE n.circuit_share <> excluded.circuit_share
RETURNING {COLUMNS}
"""  # noqa: S608 - a constant
# Served by partner_networks_pkey.
_GET = f"SELECT {COLUMNS} FROM assignment.partner_networks WHERE code = $1"  # noqa: S608 - a constant
# Served by partner_networks_pkey, whose order is the list's.
_LIST = f"SELECT {COLUMNS} FROM assignment.partner_networks WHERE code > $1 ORDER BY code LIMIT $2"  # noqa: S608 - a constant


async def set_health(
    connection: asyncpg.Connection, code: str, health: float, note: str, now: datetime
) -> tuple[PartnerNetwork, bool]:
    """Store what ops say of a network; return it, and whether that changed anything. The caller emits the event."""
    changed = await connection.fetchrow(_SET_HEALTH, code, health, note, now)
    return PartnerNetwork(**(changed or await connection.fetchrow(_GET, code))), changed is not None


async def set_circuit(
    connection: asyncpg.Connection, code: str, share: float, note: str, now: datetime
) -> PartnerNetwork | None:
    """Store what a network's circuit lets through; return the network if that changed. The caller emits the event."""
    changed = await connection.fetchrow(_SET_CIRCUIT, code, share, note, now)
    return PartnerNetwork(**changed) if changed else None


async def get(connection: asyncpg.Connection, code: str) -> PartnerNetwork | None:
    """Return a network; None for one of which nothing was said."""
    row = await connection.fetchrow(_GET, code)
    return PartnerNetwork(**row) if row else None


async def search(connection: asyncpg.Connection, after_code: str, rows_max: int) -> list[PartnerNetwork]:
    """Return networks in the order of their codes, after `after_code`."""
    return [PartnerNetwork(**row) for row in await connection.fetch(_LIST, after_code, rows_max)]


async def tell(connection: asyncpg.Connection, events: Sequence[str]) -> None:
    """Publish the events of what was stored, in its transaction."""
    await emit(connection, LOG_PREFIX, events)

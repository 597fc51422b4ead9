"""What the pictures are made of, in PostgreSQL: a whole city, or some of its partners and deliveries."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.assignment.deliveries.lifecycle import TERMINAL, DeliveryState, OfferState
from services.assignment.deliveries.store import COLUMNS as DELIVERY_COLUMNS
from services.assignment.deliveries.store import delivery_from
from services.assignment.networks.network import PartnerNetwork
from services.assignment.networks.store import COLUMNS as NETWORK_COLUMNS
from services.assignment.partners.partner import Partner
from services.assignment.partners.store import COLUMNS as PARTNER_COLUMNS
from services.assignment.partners.store import partner_from
from services.assignment.picture.facts import REFUSED, LiveDelivery, LiveOffer, live_from

# Served by partners_by_city.
_PARTNERS = f"SELECT {PARTNER_COLUMNS} FROM assignment.partners WHERE city_code = $1"  # noqa: S608 - a constant
# Served by partners_pkey.
_PARTNERS_BY_ID = f"SELECT {PARTNER_COLUMNS} FROM assignment.partners WHERE id = ANY ($1::uuid[])"  # noqa: S608 - a constant
# Served by deliveries_live_by_city.
_LIVE = f"""
SELECT {DELIVERY_COLUMNS}, match_attempts FROM assignment.deliveries
WHERE city_code = $1 AND state NOT IN ('delivered', 'cancelled', 'returned')
"""  # noqa: S608 - a constant
# Served by deliveries_pkey, each id pruned to one partition.
_DELIVERIES_BY_ID = f"""
SELECT {DELIVERY_COLUMNS}, match_attempts FROM assignment.deliveries WHERE id = ANY ($1::uuid[])
"""  # noqa: S608 - a constant
# Served by offers_pkey, each id pruned to one partition; OFFSET 0 keeps a plan for any ids from looking into all.
_OFFERS_OF = """
SELECT o.* FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
  SELECT id, delivery_id, partner_id, state, expires_at, ended_at, coalesce(pickup_rank, 0) AS pickup_rank,
    coalesce(drop_rank, 0) AS drop_rank
  FROM assignment.offers WHERE delivery_id = wanted.id OFFSET 0) AS o
"""
# Served by offers_completed.
_COMPLETED = """
SELECT partner_id, ended_at FROM assignment.offers
WHERE city_code = $1 AND state = 'completed' AND ended_at >= now() - interval '24 hours' ORDER BY ended_at
"""
# The whole table: a row a network.
_NETWORKS = f"SELECT {NETWORK_COLUMNS} FROM assignment.partner_networks"  # noqa: S608 - a constant
# No table: where the log is, and what the time is there.
_POSITION = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS lsn, extract(epoch FROM clock_timestamp()) AS now_s"


@dataclass(frozen=True, slots=True)
class CityRead:
    """A city at one moment of the log: every transaction that it holds is before `lsn`."""

    city_code: str
    lsn: int
    partners: dict[UUID, Partner]
    deliveries: dict[UUID, LiveDelivery]
    completed: dict[UUID, list[float]]


@dataclass(frozen=True, slots=True)
class SomeRead:
    """Some partners and deliveries as they are now.

    `ended` are deliveries that are over, with their versions; `completed` those of them that a partner has brought to
    their end, with who and when.
    """

    partners: dict[UUID, Partner]
    deliveries: dict[UUID, LiveDelivery]
    ended: dict[UUID, int]
    completed: dict[UUID, tuple[UUID, float]]
    lsn: int

    def version(self, delivery_id: UUID) -> int | None:
        """Return a delivery's version, live or ended; None where there is no such delivery."""
        live = self.deliveries.get(delivery_id)
        return self.ended.get(delivery_id) if live is None else live.version


async def read_city(connection: asyncpg.Connection, city_code: str) -> CityRead:
    """Read a whole city in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        partners = [partner_from(row) for row in await connection.fetch(_PARTNERS, city_code)]
        rows = await connection.fetch(_LIVE, city_code)
        live = await _live_of(connection, rows)
        completed: dict[UUID, list[float]] = defaultdict(list)
        for row in await connection.fetch(_COMPLETED, city_code):
            completed[row["partner_id"]].append(row["ended_at"].timestamp())
        lsn, _ = await log_position(connection)
    return CityRead(city_code, lsn, {partner.id: partner for partner in partners}, live, dict(completed))


async def read_some(
    connection: asyncpg.Connection, partner_ids: Collection[UUID], delivery_ids: Collection[UUID]
) -> SomeRead:
    """Read partners and deliveries in one snapshot; ids that do not exist are left out."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        partners = await connection.fetch(_PARTNERS_BY_ID, list(partner_ids)) if partner_ids else []
        rows = await connection.fetch(_DELIVERIES_BY_ID, list(delivery_ids)) if delivery_ids else []
        live = await _live_of(connection, [row for row in rows if DeliveryState(row["state"]) not in TERMINAL])
        ended = {row["id"]: row["version"] for row in rows if row["id"] not in live}
        offers = await connection.fetch(_OFFERS_OF, list(ended)) if ended else []
        lsn, _ = await log_position(connection)
    completed = {
        row["delivery_id"]: (row["partner_id"], row["ended_at"].timestamp())
        for row in offers
        if row["state"] == OfferState.COMPLETED.value
    }
    return SomeRead({row["id"]: partner_from(row) for row in partners}, live, ended, completed, lsn)


async def read_networks(connection: asyncpg.Connection) -> list[PartnerNetwork]:
    """Return every partner network."""
    return [PartnerNetwork(**row) for row in await connection.fetch(_NETWORKS)]


async def log_position(connection: asyncpg.Connection) -> tuple[int, float]:
    """Return where the log ends, and the server's time in seconds since 1970."""
    row = await connection.fetchrow(_POSITION)
    return int(row["lsn"]), float(row["now_s"])


async def _live_of(connection: asyncpg.Connection, rows: Iterable[asyncpg.Record]) -> dict[UUID, LiveDelivery]:
    found = list(rows)
    offers: dict[UUID, LiveOffer] = {}
    declined: dict[UUID, set[UUID]] = defaultdict(set)
    for row in await connection.fetch(_OFFERS_OF, [row["id"] for row in found]) if found else ():
        state = OfferState(row["state"])
        if state in REFUSED:
            declined[row["delivery_id"]].add(row["partner_id"])
        elif state is not OfferState.COMPLETED:
            offers[row["delivery_id"]] = _offer_from(row, row["expires_at"] if state is OfferState.OPEN else None)
    return {
        row["id"]: live_from(
            delivery_from(row),
            match_attempts=row["match_attempts"],
            declined=frozenset(declined.get(row["id"], ())),
            offer=offers.get(row["id"]),
        )
        for row in found
    }


def _offer_from(row: asyncpg.Record, expires_at: datetime | None) -> LiveOffer:
    return LiveOffer(row["id"], row["partner_id"], expires_at, row["pickup_rank"], row["drop_rank"])

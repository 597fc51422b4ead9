"""Partners in PostgreSQL: every statement of this noun, set-based and named."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.deliveries.delivery import Point
from services.assignment.errors import PartnerBusyError, ReferenceTakenError
from services.assignment.events import LOG_PREFIX
from services.assignment.partners.partner import Capacity, Load, Partner, Profile, Slot

COLUMNS = """
  id, reference, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max, side_mm_max, home_lat,
  home_lng, preferred_zones, acceptance, availability, shift_starts, shift_ends, parcels_held, weight_g_held,
  volume_cm3_held, rating, cash_limit_minor, network_code, version, created_at, updated_at
"""
# Served by partners_reference_key. Zones and slots come as text because unnest flattens arrays of arrays.
_INSERT = """
INSERT INTO assignment.partners (
  id, reference, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max, side_mm_max, home_lat,
  home_lng, preferred_zones, acceptance, availability, shift_starts, shift_ends, rating, cash_limit_minor, network_code,
  created_at, updated_at)
SELECT id, nullif(reference, ''), name, city, vehicle, parcels, weight_g, volume_cm3, side_mm, lat, lng,
  string_to_array(zones, ','), acceptance, availability, string_to_array(starts, ',')::timestamptz[],
  string_to_array(ends, ',')::timestamptz[], rating, cash_limit, network, $20, $20
FROM unnest(
  $1::uuid[], $2::text[], $3::text[], $4::text[], $5::assignment.vehicle[], $6::int[], $7::bigint[], $8::bigint[],
  $9::int[], $10::float8[], $11::float8[], $12::text[], $13::assignment.acceptance[], $14::assignment.availability[],
  $15::text[], $16::text[], $17::float8[], $18::bigint[], $19::text[]
) AS p (id, reference, name, city, vehicle, parcels, weight_g, volume_cm3, side_mm, lat, lng, zones, acceptance,
  availability, starts, ends, rating, cash_limit, network)
ON CONFLICT (reference) DO NOTHING RETURNING id
"""
# Served by partners_reference_key.
_HOLDERS = "SELECT reference, id FROM assignment.partners WHERE reference = ANY ($1::text[])"
# Served by partners_pkey.
_GET = f"SELECT {COLUMNS} FROM assignment.partners WHERE id = $1"  # noqa: S608 - a constant
# Served by partners_pkey. The weaker lock lets offers refer to the partner meanwhile.
_LOCK = f"{_GET} FOR NO KEY UPDATE"
# Served by partners_pkey.
_SAVE = f"""
UPDATE assignment.partners SET reference = nullif($2, ''), display_name = $3, city_code = $4, vehicle = $5,
  parcels_max = $6, weight_g_max = $7, volume_cm3_max = $8, side_mm_max = $9, home_lat = $10, home_lng = $11,
  preferred_zones = string_to_array($12, ','), acceptance = $13, availability = $14,
  shift_starts = string_to_array($15, ',')::timestamptz[], shift_ends = string_to_array($16, ',')::timestamptz[],
  rating = $17, cash_limit_minor = $18, network_code = $19, version = version + 1, updated_at = $20
WHERE id = $1 RETURNING {COLUMNS}
"""  # noqa: S608 - a constant
# Served by partners_by_city, partners_by_availability, partners_reference_key or, without filters, partners_pkey.
_LIST = f"""
SELECT {COLUMNS} FROM assignment.partners WHERE id < $1 {{filters}} ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant
_FILTERS = {
    "city_code": "AND city_code = ${n}::text",
    "availability": "AND availability = ${n}::assignment.availability",
    "reference": "AND reference = ${n}::text",
}
# Served by partners_pkey.
_CITIES = "SELECT id, city_code FROM assignment.partners WHERE id = ANY ($1::uuid[])"
_ID_MAX = UUID(int=(1 << 128) - 1)


async def onboard(connection: asyncpg.Connection, partners: Sequence[Partner]) -> list[Exception | None]:
    """Store new partners of one moment; return for each None, or why it was refused. The caller emits the events.

    One bad row fails its set-based statement; the batch is then stored row by row, and the others are not lost.
    """
    try:
        async with connection.transaction():
            return await _insert(connection, partners)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        if len(partners) == 1:
            return [error]
    return [(await onboard(connection, [partner]))[0] for partner in partners]


async def get(connection: asyncpg.Connection, partner_id: UUID) -> Partner | None:
    """Return a partner, or None for an unknown id."""
    row = await connection.fetchrow(_GET, partner_id)
    return partner_from(row) if row else None


async def lock(connection: asyncpg.Connection, partner_id: UUID) -> Partner | None:
    """Return a partner that nobody else changes until the transaction ends, or None for an unknown id."""
    row = await connection.fetchrow(_LOCK, partner_id)
    return partner_from(row) if row else None


async def save(connection: asyncpg.Connection, partner: Partner, now: datetime) -> Partner:
    """Store a locked partner's profile, availability and slots as its next version. The caller emits the event.

    Raises ReferenceTakenError, and PartnerBusyError when the capacity is below what the partner holds.
    """
    try:
        async with connection.transaction():
            row = await connection.fetchrow(_SAVE, *_values(partner), now)
    except asyncpg.UniqueViolationError:
        holders = await _holders(connection, [partner.profile.reference])
        raise _taken(partner, holders) from None
    except asyncpg.CheckViolationError:
        raise PartnerBusyError(f"partner {partner.id} holds more than the new capacity") from None
    return partner_from(row)


async def search(
    connection: asyncpg.Connection, *, before_id: UUID | None, rows_max: int, filters: dict[str, str]
) -> list[Partner]:
    """Return partners that meet every filter (names of _FILTERS), newest first, before `before_id`."""
    clauses = " ".join(_FILTERS[name].format(n=place) for place, name in enumerate(filters, start=3))
    rows = await connection.fetch(_LIST.format(filters=clauses), before_id or _ID_MAX, rows_max, *filters.values())
    return [partner_from(row) for row in rows]


async def cities_of(connection: asyncpg.Connection, partner_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the city codes of the partners that there are."""
    return {row["id"]: row["city_code"] for row in await connection.fetch(_CITIES, list(partner_ids))}


async def tell(connection: asyncpg.Connection, events: Sequence[str]) -> None:
    """Publish the events of what was stored, in its transaction."""
    await emit(connection, LOG_PREFIX, events)


async def _insert(connection: asyncpg.Connection, partners: Sequence[Partner]) -> list[Exception | None]:
    # Sorted, so that two batches never wait for each other's references in a ring; the first of equals stays first.
    ordered = sorted(partners, key=lambda partner: partner.profile.reference)
    columns = [list(column) for column in zip(*map(_values, ordered), strict=True)]
    stored = {row["id"] for row in await connection.fetch(_INSERT, *columns, partners[0].created_at)}
    if len(stored) == len(partners):
        return [None] * len(partners)
    refused = [partner.profile.reference for partner in partners if partner.id not in stored]
    holders = await _holders(connection, refused)
    return [None if partner.id in stored else _taken(partner, holders) for partner in partners]


async def _holders(connection: asyncpg.Connection, references: Sequence[str]) -> dict[str, UUID]:
    return {row["reference"]: row["id"] for row in await connection.fetch(_HOLDERS, references)}


def _taken(partner: Partner, holders: dict[str, UUID]) -> ReferenceTakenError:
    reference = partner.profile.reference
    said = f"another partner has the reference {reference!r}"
    return ReferenceTakenError(said, metadata={"partner_id": str(holders.get(reference, ""))})


def _values(partner: Partner) -> tuple[object, ...]:
    profile, capacity = partner.profile, partner.profile.capacity
    return (
        partner.id, profile.reference, profile.display_name, profile.city_code, profile.vehicle, capacity.parcels_max,
        capacity.weight_g_max, capacity.volume_cm3_max, capacity.side_mm_max, profile.home.lat, profile.home.lng,
        ",".join(profile.preferred_zones), profile.acceptance, partner.availability,
        ",".join(slot.start.isoformat() for slot in partner.shift_slots),
        ",".join(slot.end.isoformat() for slot in partner.shift_slots),
        profile.rating, profile.cash_limit_paise, profile.network_code,
    )  # fmt: skip


def partner_from(row: asyncpg.Record) -> Partner:
    return Partner(
        id=row["id"],
        profile=Profile(
            reference=row["reference"] or "",
            display_name=row["display_name"],
            city_code=row["city_code"],
            vehicle=row["vehicle"],
            capacity=Capacity(row["parcels_max"], row["weight_g_max"], row["volume_cm3_max"], row["side_mm_max"]),
            home=Point(row["home_lat"], row["home_lng"]),
            preferred_zones=tuple(row["preferred_zones"]),
            acceptance=row["acceptance"],
            rating=row["rating"],
            cash_limit_paise=row["cash_limit_minor"],
            network_code=row["network_code"],
        ),
        availability=row["availability"],
        shift_slots=tuple(map(Slot, row["shift_starts"], row["shift_ends"])),
        load=Load(row["parcels_held"], row["weight_g_held"], row["volume_cm3_held"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )

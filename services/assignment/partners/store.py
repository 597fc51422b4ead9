"""Partners in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.assignment.errors import ReferenceTakenError
from services.assignment.partners.partner import Partner, Profile, Slot

_COLUMNS = """
  id, reference, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max, side_mm_max, home_lat,
  home_lng, preferred_zones, acceptance, availability, shift_starts, shift_ends, parcels_held, weight_g_held,
  volume_cm3_held, version, created_at, updated_at
"""
# Zones and slots come as text because unnest flattens arrays of arrays.
_INSERT = """
INSERT INTO assignment.partners (id, reference, display_name, city_code, vehicle, parcels_max, weight_g_max,
  volume_cm3_max, side_mm_max, home_lat, home_lng, preferred_zones, acceptance, availability, shift_starts, shift_ends,
  created_at, updated_at)
SELECT id, nullif(reference, ''), name, city, vehicle, parcels, weight_g, volume_cm3, side_mm, lat, lng,
  string_to_array(zones, ','), acceptance, availability, string_to_array(starts, ',')::timestamptz[],
  string_to_array(ends, ',')::timestamptz[], at, at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::assignment.vehicle[], $6::int[], $7::bigint[],
  $8::bigint[], $9::int[], $10::float8[], $11::float8[], $12::text[], $13::assignment.acceptance[],
  $14::assignment.availability[], $15::text[], $16::text[], $17::timestamptz[])
  AS p (id, reference, name, city, vehicle, parcels, weight_g, volume_cm3, side_mm, lat, lng, zones, acceptance,
    availability, starts, ends, at)
ON CONFLICT DO NOTHING RETURNING id
"""
# Served by partners_reference_key.
_HOLDERS = "SELECT reference, id FROM assignment.partners WHERE reference = ANY ($1::text[])"
# Served by partners_pkey.
_GET = f"SELECT {_COLUMNS} FROM assignment.partners WHERE id = $1"  # noqa: S608 - constants
# Served by partners_pkey.
_LOCK = f"{_GET} FOR NO KEY UPDATE"
# Served by partners_by_city, partners_reference_key or, without filters, partners_pkey.
_LIST = f"""
SELECT {_COLUMNS} FROM assignment.partners WHERE id < $1 {{filters}} ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - constants
_FILTERS = {
    "city_code": "AND city_code = ${n}::text",
    "availability": "AND availability = ${n}::assignment.availability",
    "reference": "AND reference = ${n}::text",
}
# Served by partners_pkey.
_REPLACE = """
UPDATE assignment.partners SET reference = nullif($2, ''), display_name = $3, city_code = $4, vehicle = $5,
  parcels_max = $6, weight_g_max = $7, volume_cm3_max = $8, side_mm_max = $9, home_lat = $10, home_lng = $11,
  preferred_zones = $12, acceptance = $13, availability = $14, shift_starts = $15, shift_ends = $16, version = $17,
  updated_at = $18
WHERE id = $1
"""
# Served by partners_pkey.
_CITIES = "SELECT id, city_code FROM assignment.partners WHERE id = ANY ($1::uuid[])"
_ID_MAX = UUID(int=(1 << 128) - 1)


async def create(connection: asyncpg.Connection, partners: Sequence[Partner]) -> list[ReferenceTakenError | None]:
    """Store partners; return for each None, or the error that names who holds its reference."""
    profiles = [partner.profile for partner in partners]
    stored = await connection.fetch(
        _INSERT,
        [partner.id for partner in partners],
        [profile.reference for profile in profiles],
        [profile.display_name for profile in profiles],
        [profile.city_code for profile in profiles],
        [profile.vehicle for profile in profiles],
        [profile.parcels_max for profile in profiles],
        [profile.weight_g_max for profile in profiles],
        [profile.volume_cm3_max for profile in profiles],
        [profile.side_mm_max for profile in profiles],
        [profile.home_lat for profile in profiles],
        [profile.home_lng for profile in profiles],
        [",".join(profile.preferred_zones) for profile in profiles],
        [profile.acceptance for profile in profiles],
        [partner.availability for partner in partners],
        [",".join(slot.start.isoformat() for slot in partner.slots) for partner in partners],
        [",".join(slot.end.isoformat() for slot in partner.slots) for partner in partners],
        [partner.created_at for partner in partners],
    )
    made = {row["id"] for row in stored}
    refused = [partner for partner in partners if partner.id not in made]
    if not refused:
        return [None] * len(partners)
    wanted = [partner.profile.reference for partner in refused]
    holders = {row["reference"]: row["id"] for row in await connection.fetch(_HOLDERS, wanted)}
    return [
        None if partner.id in made else _taken(partner.profile.reference, holders.get(partner.profile.reference))
        for partner in partners
    ]


async def get(connection: asyncpg.Connection, partner_id: UUID, *, lock: bool = False) -> Partner | None:
    """Return a partner, or None; with `lock`, nobody else changes it until the transaction ends."""
    row = await connection.fetchrow(_LOCK if lock else _GET, partner_id)
    return _partner_from(row) if row else None


async def search(
    connection: asyncpg.Connection, *, before_id: UUID | None, rows_max: int, filters: dict[str, object]
) -> list[Partner]:
    """Return partners that meet every filter (names of _FILTERS), newest first, before `before_id`."""
    clauses = " ".join(_FILTERS[name].format(n=place) for place, name in enumerate(filters, start=3))
    rows = await connection.fetch(_LIST.format(filters=clauses), before_id or _ID_MAX, rows_max, *filters.values())
    return [_partner_from(row) for row in rows]


async def replace(connection: asyncpg.Connection, partner: Partner) -> None:
    """Write a locked partner's new profile, availability, slots and version; ReferenceTakenError when it is taken."""
    profile = partner.profile
    try:
        async with connection.transaction():
            await connection.execute(
                _REPLACE,
                partner.id,
                profile.reference,
                profile.display_name,
                profile.city_code,
                profile.vehicle,
                profile.parcels_max,
                profile.weight_g_max,
                profile.volume_cm3_max,
                profile.side_mm_max,
                profile.home_lat,
                profile.home_lng,
                list(profile.preferred_zones),
                profile.acceptance,
                partner.availability,
                [slot.start for slot in partner.slots],
                [slot.end for slot in partner.slots],
                partner.version,
                partner.updated_at,
            )
    except asyncpg.UniqueViolationError:
        holders = await connection.fetch(_HOLDERS, [profile.reference])
        raise _taken(profile.reference, holders[0]["id"] if holders else None) from None


async def cities_of(connection: asyncpg.Connection, partner_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the city of each partner that exists."""
    return {row["id"]: row["city_code"] for row in await connection.fetch(_CITIES, partner_ids)}


def _taken(reference: str, holder: UUID | None) -> ReferenceTakenError:
    metadata = {"partner_id": str(holder)} if holder else {}
    return ReferenceTakenError(f"a partner has the reference {reference!r} already", metadata=metadata)


def _partner_from(row: asyncpg.Record) -> Partner:
    return Partner(
        id=row["id"],
        profile=Profile(
            reference=row["reference"] or "",
            display_name=row["display_name"],
            city_code=row["city_code"],
            vehicle=row["vehicle"],
            parcels_max=row["parcels_max"],
            weight_g_max=row["weight_g_max"],
            volume_cm3_max=row["volume_cm3_max"],
            side_mm_max=row["side_mm_max"],
            home_lat=row["home_lat"],
            home_lng=row["home_lng"],
            preferred_zones=tuple(row["preferred_zones"]),
            acceptance=row["acceptance"],
        ),
        availability=row["availability"],
        slots=tuple(Slot(start, end) for start, end in zip(row["shift_starts"], row["shift_ends"], strict=True)),
        parcels_held=row["parcels_held"],
        weight_g_held=row["weight_g_held"],
        volume_cm3_held=row["volume_cm3_held"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def new_partner(partner_id: UUID, profile: Profile, availability: str, slots: Sequence[Slot], now: datetime) -> Partner:
    """Return a partner as it is onboarded: it holds nothing."""
    return Partner(partner_id, profile, availability, tuple(slots), 0, 0, 0, 1, now, now)

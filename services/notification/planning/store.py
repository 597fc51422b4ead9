"""What the planner knows and plans, in PostgreSQL: every statement of this noun. Batches go by the order of keys."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.notification.messages.lifecycle import MessageState, Mover, sources_of
from services.notification.planning.learnt import NewDelivery
from services.notification.planning.quiet_hours import QuietHours
from services.notification.planning.rules import Contact, PlannedMessage

# Served by merchants_pkey.
_SET_MERCHANTS = """
INSERT INTO notification.merchants (id, name) SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (id) DO UPDATE SET name = excluded.name
"""
# Served by cities_pkey.
_SET_CITIES = """
INSERT INTO notification.cities (code, name, time_zone) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (code) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone
"""
# Served by cities_pkey.
_ZONES = "SELECT code, time_zone FROM notification.cities WHERE code = ANY ($1::text[])"
# Served by recipient_by_lookup. A language that somebody chose by hand stays.
_SET_CUSTOMERS = """
INSERT INTO notification.recipients AS r (id, audience, merchant_id, lookup_hash, name_sealed, language, time_zone,
  quiet_from_min, quiet_until_min, created_at, updated_at)
SELECT c.id, 'customer', c.merchant_id, c.lookup_hash, c.name_sealed, coalesce(nullif(c.language, ''), 'en'),
  c.time_zone, $7, $8, $9, $9
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::text[], $6::text[])
  AS c (id, merchant_id, lookup_hash, name_sealed, language, time_zone)
ON CONFLICT (merchant_id, lookup_hash) DO UPDATE SET name_sealed = excluded.name_sealed,
  language = CASE WHEN r.version = 1 AND excluded.language <> 'en' THEN excluded.language ELSE r.language END,
  updated_at = excluded.updated_at
RETURNING id, merchant_id, lookup_hash
"""
# Served by addresses_pkey.
_SET_ADDRESSES = """
INSERT INTO notification.addresses AS a (recipient_id, channel, merchant_id, address_sealed, address_hash)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
ON CONFLICT (recipient_id, channel) DO UPDATE SET address_sealed = excluded.address_sealed,
  address_hash = excluded.address_hash
WHERE a.address_hash <> excluded.address_hash
"""
# Served by deliveries_pkey.
_ADD_DELIVERIES = """
INSERT INTO notification.deliveries (id, merchant_id, customer_id, city_code, reference, drop_from, drop_until)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
ON CONFLICT (id) DO NOTHING
"""
# Served by deliveries_pkey.
_DELIVERIES = """
SELECT id, merchant_id, customer_id, reference, drop_from, drop_until, city_code
FROM notification.deliveries WHERE id = ANY ($1::uuid[])
"""
# Served by recipients_pkey, recipient_by_owner and addresses_pkey.
_CONTACTS = """
SELECT r.id, r.audience, r.merchant_id, r.owner_id, r.language, r.time_zone, r.quiet_from_min, r.quiet_until_min,
  r.opted_out, r.muted_statuses,
  ARRAY(SELECT a.channel::text FROM notification.addresses a WHERE a.recipient_id = r.id) AS channels
FROM (
  SELECT * FROM notification.recipients WHERE id = ANY ($1::uuid[])
  UNION ALL
  SELECT owned.* FROM unnest($2::text[], $3::uuid[]) AS o (audience, owner_id)
  JOIN notification.recipients owned ON owned.audience = o.audience AND owned.owner_id = o.owner_id
) AS r
"""
# Served by addresses_pkey and one_message: what is planned already stays as it is.
_ADD_MESSAGES = """
INSERT INTO notification.messages (id, recipient_id, delivery_id, status, channel, merchant_id, audience, language,
  variables, priority, digestible, state, planned_at, send_after, expires_at, updated_at)
SELECT m.id, m.recipient_id, m.delivery_id, m.status, m.channel, m.merchant_id, m.audience, m.language,
  m.variables::jsonb, m.priority, m.digestible, 'planned', $14,
  CASE WHEN m.digestible THEN greatest(m.send_after, a.next_digest_at) ELSE m.send_after END, m.expires_at, $14
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[],
  $10::smallint[], $11::boolean[], $12::timestamptz[], $13::timestamptz[])
  AS m (id, recipient_id, delivery_id, status, channel, merchant_id, audience, language, variables, priority,
    digestible, send_after, expires_at)
JOIN notification.addresses a ON a.recipient_id = m.recipient_id AND a.channel = m.channel
ON CONFLICT ON CONSTRAINT one_message DO NOTHING RETURNING channel, audience
"""
# Served by messages_by_delivery. What is under way is under way.
_TAKE_BACK = """
UPDATE notification.messages SET state = 'suppressed', reason = 'TAKEN_BACK', updated_at = $2
WHERE delivery_id = ANY ($1::uuid[]) AND status = 'delivered' AND audience = 'customer' AND state = ANY ($3::text[])
"""
# Served by messages_by_delivery, likewise.
_PUT_RIGHT = """
UPDATE notification.messages m SET variables = m.variables || jsonb_build_object('at', c.at), updated_at = $3
FROM unnest($1::uuid[], $2::text[]) AS c (delivery_id, at)
WHERE m.delivery_id = c.delivery_id AND m.status = 'delivered' AND m.audience = 'customer' AND m.state = 'planned'
"""


@dataclass(frozen=True, slots=True)
class SealedCustomer:
    """A customer as it is kept. `addresses` by channel, each sealed and hashed."""

    merchant_id: UUID
    lookup_hash: bytes
    name_sealed: bytes
    language: str
    time_zone: str
    addresses: Mapping[str, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """Whom a delivery concerns, and what there is to say about it."""

    id: UUID
    merchant_id: UUID
    customer_id: UUID | None
    reference: str
    drop_from: datetime
    drop_until: datetime
    city_code: str


async def set_merchants(connection: asyncpg.Connection, merchants: Mapping[UUID, str]) -> None:
    """Store merchants' names."""
    named = sorted(merchants.items())
    if named:
        await connection.execute(_SET_MERCHANTS, [key for key, _ in named], [name for _, name in named])


async def set_cities(connection: asyncpg.Connection, cities: Mapping[str, tuple[str, str]]) -> None:
    """Store cities' names and time zones by their codes."""
    known = sorted((code, *said) for code, said in cities.items())
    if known:
        await connection.execute(_SET_CITIES, *map(list, zip(*known, strict=True)))


async def zones_of(connection: asyncpg.Connection, codes: Collection[str]) -> dict[str, str]:
    """Return the time zones of those of the cities that are known."""
    return {row["code"]: row["time_zone"] for row in await connection.fetch(_ZONES, list(codes))}


async def set_customers(
    connection: asyncpg.Connection, customers: Sequence[SealedCustomer], quiet_min: tuple[int, int], now: datetime
) -> dict[tuple[UUID, bytes], UUID]:
    """Store customers and their addresses; return their ids by merchant and lookup hash, of which each comes once."""
    made = sorted(customers, key=lambda customer: (customer.merchant_id, customer.lookup_hash))
    rows = await connection.fetch(
        _SET_CUSTOMERS,
        [new_id() for _ in made],
        [customer.merchant_id for customer in made],
        [customer.lookup_hash for customer in made],
        [customer.name_sealed for customer in made],
        [customer.language for customer in made],
        [customer.time_zone for customer in made],
        *quiet_min,
        now,
    )
    ids = {(row["merchant_id"], row["lookup_hash"]): row["id"] for row in rows}
    addresses = sorted(
        (ids[customer.merchant_id, customer.lookup_hash], channel, customer.merchant_id, *kept)
        for customer in made
        for channel, kept in customer.addresses.items()
    )
    if addresses:
        await connection.execute(_SET_ADDRESSES, *map(list, zip(*addresses, strict=True)))
    return ids


async def add_deliveries(connection: asyncpg.Connection, deliveries: Sequence[tuple[NewDelivery, UUID | None]]) -> None:
    """Store deliveries with their customers' ids."""
    rows = [
        (made.id, made.merchant_id, customer_id, made.city_code, made.reference, made.drop_from, made.drop_until)
        for made, customer_id in deliveries
    ]
    if rows:
        await connection.execute(_ADD_DELIVERIES, *map(list, zip(*rows, strict=True)))


async def deliveries_of(connection: asyncpg.Connection, ids: Collection[UUID]) -> dict[UUID, KnownDelivery]:
    """Return those of the deliveries that are known."""
    return {row["id"]: KnownDelivery(**row) for row in await connection.fetch(_DELIVERIES, list(ids))}


async def contacts_of(
    connection: asyncpg.Connection, ids: Collection[UUID], owners: Collection[tuple[str, UUID]]
) -> tuple[dict[UUID, Contact], dict[tuple[str, UUID], Contact]]:
    """Return recipients by their ids, and others by their audience and owner."""
    audiences, owner_ids = [audience for audience, _ in owners], [owner_id for _, owner_id in owners]
    by_id: dict[UUID, Contact] = {}
    by_owner: dict[tuple[str, UUID], Contact] = {}
    for row in await connection.fetch(_CONTACTS, list(ids), audiences, owner_ids):
        contact = Contact(
            row["id"], row["audience"], row["merchant_id"], row["language"],
            QuietHours(row["time_zone"], row["quiet_from_min"], row["quiet_until_min"]),
            frozenset(row["channels"]), frozenset(row["opted_out"]), frozenset(row["muted_statuses"]),
        )  # fmt: skip
        if row["owner_id"] is None:
            by_id[contact.id] = contact
        else:
            by_owner[contact.audience, row["owner_id"]] = contact
    return by_id, by_owner


async def add_messages(
    connection: asyncpg.Connection, planned: Sequence[PlannedMessage], now: datetime
) -> list[tuple[str, str]]:
    """Plan messages; return the channel and audience of each that was not planned before."""
    # In the order of what must be unique: two planners with the same messages wait for each other, not in a circle.
    rows = sorted(
        (
            m.recipient.id, m.fact.delivery_id, m.status, m.channel, m.recipient.merchant_id, m.recipient.audience,
            m.recipient.language, json.dumps(dict(m.fact.variables)), m.priority, m.digestible, m.send_after,
            m.expires_at,
        )
        for m in planned
    )  # fmt: skip
    if not rows:
        return []
    ids = [new_id() for _ in rows]
    found = await connection.fetch(_ADD_MESSAGES, ids, *map(list, zip(*rows, strict=True)), now)
    return [(row["channel"], row["audience"]) for row in found]


async def take_back(connection: asyncpg.Connection, delivery_ids: Collection[UUID], now: datetime) -> None:
    """Tell no customer any more that these deliveries were delivered."""
    if delivery_ids:
        sources = sources_of(MessageState.SUPPRESSED, Mover.PLANNER)
        await connection.execute(_TAKE_BACK, sorted(delivery_ids), now, sources)


async def put_right(connection: asyncpg.Connection, delivered_at: Mapping[UUID, datetime], now: datetime) -> None:
    """Have customers who are still to be told that a delivery was delivered be told of the right time, by delivery."""
    if delivered_at:
        rows = sorted((delivery_id, at.isoformat()) for delivery_id, at in delivered_at.items())
        await connection.execute(_PUT_RIGHT, *map(list, zip(*rows, strict=True)), now)

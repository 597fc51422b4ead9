"""Deliveries in PostgreSQL: every statement of this noun, set-based and named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.ids import floor_at
from libs.postgres.log_messages import emit
from services.assignment.deliveries.delivery import Amount, Change, Delivery, Details, Point
from services.assignment.deliveries.lifecycle import TERMINAL, Actor, DeliveryState
from services.assignment.errors import ReferenceTakenError
from services.assignment.events import LOG_PREFIX
from services.assignment.listing import StateList

# Served by delivery_references_pkey. Sorted by the caller, so that two batches never wait for each other in a ring.
_CLAIM_REFERENCES = """
INSERT INTO assignment.delivery_references (merchant_id, reference, delivery_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[])
ON CONFLICT DO NOTHING RETURNING delivery_id
"""
# Served by delivery_references_pkey.
_REFERENCE_HOLDERS = """
SELECT wanted.delivery_id AS wanted_by, held.delivery_id AS held_by
FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS wanted (merchant_id, reference, delivery_id)
JOIN assignment.delivery_references held USING (merchant_id, reference)
"""
# Vehicles come as text because unnest flattens arrays of arrays.
_INSERT = """
INSERT INTO assignment.deliveries (
  id, merchant_id, merchant_reference, city_code, pickup_lat, pickup_lng, drop_lat, drop_lng, length_mm, width_mm,
  height_mm, weight_g, ready_at, drop_from, drop_until, declared_value_minor, declared_value_currency,
  cash_on_delivery_minor, cash_on_delivery_currency, vehicles, state, unassigned_reason, match_after, state_at,
  created_at, updated_at)
SELECT id, merchant_id, nullif(reference, ''), city, pickup_lat, pickup_lng, drop_lat, drop_lng, length_mm, width_mm,
  height_mm, weight_g, ready_at, drop_from, drop_until, value_minor, value_currency, cash_minor, cash_currency,
  string_to_array(vehicles, ',')::assignment.vehicle[], 'pending', nullif(reason, ''), match_after, created_at,
  created_at, created_at
FROM unnest(
  $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::int[],
  $10::int[], $11::int[], $12::int[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::bigint[],
  $17::text[], $18::bigint[], $19::text[], $20::text[], $21::text[], $22::timestamptz[], $23::timestamptz[]
) AS d (id, merchant_id, reference, city, pickup_lat, pickup_lng, drop_lat, drop_lng, length_mm, width_mm, height_mm,
  weight_g, ready_at, drop_from, drop_until, value_minor, value_currency, cash_minor, cash_currency, vehicles, reason,
  match_after, created_at)
"""
_INSERT_FIRST_CHANGES = """
INSERT INTO assignment.delivery_changes (delivery_id, sequence, merchant_id, to_state, actor, occurred_at, recorded_at)
SELECT id, 1, merchant_id, 'pending', actor, at, at
FROM unnest($1::uuid[], $2::uuid[], $3::assignment.actor[], $4::timestamptz[]) AS c (id, merchant_id, actor, at)
"""
COLUMNS = """
  id, merchant_id, merchant_reference, city_code, pickup_lat, pickup_lng, drop_lat, drop_lng, length_mm, width_mm,
  height_mm, weight_g, ready_at, drop_from, drop_until, declared_value_minor, declared_value_currency,
  cash_on_delivery_minor, cash_on_delivery_currency, vehicles, state, partner_id, unassigned_reason, match_after,
  version, attempts_failed, state_at, created_at, updated_at
"""
# Served by deliveries_pkey, pruned to one partition.
_GET = f"SELECT {COLUMNS} FROM assignment.deliveries WHERE id = $1"  # noqa: S608 - a constant
# Served by delivery_changes_pkey, pruned to one partition.
_HISTORY = "SELECT * FROM assignment.delivery_changes WHERE delivery_id = $1 ORDER BY sequence"
# Served by deliveries_by_merchant, deliveries_by_partner, deliveries_by_city or, without filters, deliveries_pkey; by
# deliveries_live and _ended, with _by_city and _by_merchant, for their states. Ids bound the time and prune partitions.
# The reference is looked up by delivery_references_pkey.
_LIST = f"""
SELECT {COLUMNS} FROM assignment.deliveries
WHERE id >= $1 AND id < $2 {{filters}} ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - a constant
_FILTERS = {
    "merchant_id": "AND merchant_id = ${n}::uuid",
    "city_code": "AND city_code = ${n}::text",
    "partner_id": "AND partner_id = ${n}::uuid",
    "states": "AND state = ANY (${n}::assignment.delivery_state[])",
    # Comes with the merchant, who is always the first filter.
    "merchant_reference": """AND id = (SELECT delivery_id FROM assignment.delivery_references
      WHERE merchant_id = $4 AND reference = ${n}::text)""",
}
# A page of the pages of a list.
PAGES = "SELECT * FROM ({{pages}}) AS found ORDER BY id DESC LIMIT {limit}"
_LIVE = frozenset(DeliveryState) - TERMINAL
LISTS = StateList(
    plain=_LIST,
    merged=PAGES.format(limit="$3"),
    filters=_FILTERS,
    groups={
        "AND state NOT IN ('delivered', 'cancelled', 'returned')": _LIVE,
        "AND state IN ('cancelled', 'returned')": TERMINAL - {DeliveryState.DELIVERED},
    },
    few=frozenset({"partner_id", "merchant_reference"}),
    first_place=4,
)
_ID_MAX = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery about to be stored, with who made it and the event that tells of it."""

    delivery: Delivery
    actor: Actor
    event: str


async def create(connection: asyncpg.Connection, rows: Sequence[NewDelivery]) -> list[Exception | None]:
    """Store deliveries with their first change and their event; return for each None, or why it was refused.

    One bad row fails its set-based statement; the batch is then stored row by row, and the others are not lost.
    """
    try:
        async with connection.transaction():
            results = await _create(connection, rows)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
        results = [await _create_alone(connection, row) for row in rows]
    return results


async def get(connection: asyncpg.Connection, delivery_id: UUID) -> Delivery | None:
    """Return a delivery, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, delivery_id)
    return delivery_from(row) if row else None


async def history(connection: asyncpg.Connection, delivery_id: UUID) -> list[Change]:
    """Return a delivery's changes, oldest first; empty when there is none that the transaction may see."""
    return [_change_from(row) for row in await connection.fetch(_HISTORY, delivery_id)]


async def search(
    connection: asyncpg.Connection,
    *,
    created_from: datetime | None,
    created_until: datetime | None,
    before_id: UUID | None,
    rows_max: int,
    filters: dict[str, object],
) -> list[Delivery]:
    """Return deliveries that meet every filter (names of _FILTERS), newest first, before `before_id`."""
    lowest = floor_at(created_from) if created_from else UUID(int=0)
    highest = min(before_id or _ID_MAX, floor_at(created_until) if created_until else _ID_MAX)
    statement, values = LISTS.statement(filters)
    rows = await connection.fetch(statement, lowest, highest, rows_max, *values)
    return [delivery_from(row) for row in rows]


async def _claim_references(
    connection: asyncpg.Connection, rows: Sequence[NewDelivery]
) -> list[ReferenceTakenError | None]:
    named = [row.delivery for row in rows if row.delivery.details.merchant_reference]
    if not named:
        return [None] * len(rows)
    named.sort(key=lambda d: (d.details.merchant_id, d.details.merchant_reference))
    columns = (
        [d.details.merchant_id for d in named],
        [d.details.merchant_reference for d in named],
        [d.id for d in named],
    )
    claimed = {row["delivery_id"] for row in await connection.fetch(_CLAIM_REFERENCES, *columns)}
    if len(claimed) == len(named):
        return [None] * len(rows)
    holders = {row["wanted_by"]: row["held_by"] for row in await connection.fetch(_REFERENCE_HOLDERS, *columns)}
    errors: list[ReferenceTakenError | None] = []
    for row in rows:
        details = row.delivery.details
        if not details.merchant_reference or row.delivery.id in claimed:
            errors.append(None)
            continue
        message = f"the merchant has used merchant_reference {details.merchant_reference!r} before"
        errors.append(ReferenceTakenError(message, metadata={"delivery_id": str(holders[row.delivery.id])}))
    return errors


async def _create(connection: asyncpg.Connection, rows: Sequence[NewDelivery]) -> list[Exception | None]:
    refused = await _claim_references(connection, rows)
    good = [row for row, error in zip(rows, refused, strict=True) if error is None]
    if good:
        await _insert(connection, good)
    return list(refused)


async def _create_alone(connection: asyncpg.Connection, row: NewDelivery) -> Exception | None:
    result: Exception | None
    try:
        async with connection.transaction():
            result = (await _create(connection, [row]))[0]
    except asyncpg.ForeignKeyViolationError as error:
        if "merchant" in str(error.constraint_name):
            unknown = f"no merchant has the id {row.delivery.details.merchant_id}"
            result = InvalidArgumentError.of(FieldViolation("details.merchant_id", unknown, "merchant.known"))
        else:
            result = error
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        result = error
    return result


async def _insert(connection: asyncpg.Connection, rows: Sequence[NewDelivery]) -> None:
    deliveries = [row.delivery for row in rows]
    details = [delivery.details for delivery in deliveries]
    ids, merchants = [d.id for d in deliveries], [d.merchant_id for d in details]
    created = [d.created_at for d in deliveries]
    await connection.execute(
        _INSERT,
        ids,
        merchants,
        [d.merchant_reference for d in details],
        [d.city_code for d in details],
        [d.pickup.lat for d in details],
        [d.pickup.lng for d in details],
        [d.drop.lat for d in details],
        [d.drop.lng for d in details],
        [d.length_mm for d in details],
        [d.width_mm for d in details],
        [d.height_mm for d in details],
        [d.weight_g for d in details],
        [d.ready_at for d in details],
        [d.drop_from for d in details],
        [d.drop_until for d in details],
        [d.declared_value.amount_minor if d.declared_value else None for d in details],
        [d.declared_value.currency_code if d.declared_value else None for d in details],
        [d.cash_on_delivery.amount_minor if d.cash_on_delivery else None for d in details],
        [d.cash_on_delivery.currency_code if d.cash_on_delivery else None for d in details],
        [",".join(d.vehicles) for d in details],
        [d.unassigned_reason for d in deliveries],
        [d.match_after for d in deliveries],
        created,
    )
    await connection.execute(_INSERT_FIRST_CHANGES, ids, merchants, [row.actor.value for row in rows], created)
    await emit(connection, LOG_PREFIX, [row.event for row in rows])


def delivery_from(row: asyncpg.Record) -> Delivery:
    """Return a row of COLUMNS as a delivery."""
    return Delivery(
        id=row["id"],
        details=Details(
            merchant_id=row["merchant_id"],
            merchant_reference=row["merchant_reference"] or "",
            city_code=row["city_code"],
            pickup=Point(row["pickup_lat"], row["pickup_lng"]),
            drop=Point(row["drop_lat"], row["drop_lng"]),
            length_mm=row["length_mm"],
            width_mm=row["width_mm"],
            height_mm=row["height_mm"],
            weight_g=row["weight_g"],
            ready_at=row["ready_at"],
            drop_from=row["drop_from"],
            drop_until=row["drop_until"],
            declared_value=_amount(row["declared_value_currency"], row["declared_value_minor"]),
            cash_on_delivery=_amount(row["cash_on_delivery_currency"], row["cash_on_delivery_minor"]),
            vehicles=tuple(row["vehicles"]),
        ),
        state=DeliveryState(row["state"]),
        partner_id=row["partner_id"],
        unassigned_reason=row["unassigned_reason"] or "",
        match_after=row["match_after"],
        version=row["version"],
        attempts_failed=row["attempts_failed"],
        state_at=row["state_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _amount(currency_code: str | None, amount_minor: int | None) -> Amount | None:
    return None if currency_code is None or amount_minor is None else Amount(currency_code, amount_minor)


def _change_from(row: asyncpg.Record) -> Change:
    return Change(
        sequence=row["sequence"],
        from_state=DeliveryState(row["from_state"]) if row["from_state"] else None,
        to_state=DeliveryState(row["to_state"]),
        actor=Actor(row["actor"]),
        partner_id=row["partner_id"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        location=None if row["lat"] is None else Point(row["lat"], row["lng"]),
        reason=row["reason"],
        note=row["note"],
    )

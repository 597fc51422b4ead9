"""What is known of deliveries and partners, in PostgreSQL: every statement of this noun."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.ledger.facts import Change, Order, PartnerVersion

_CHANGE_COLUMNS = """
  delivery_id, sequence, event_id, state, occurred_at, partner_id, merchant_id, city_code, distance_m, weight_g,
  cash_paise, ready_at, drop_until
"""
_VERSION_COLUMNS = "partner_id, version, event_id, vehicle, network_code, changed_at"
# Served by deliveries_pkey. In order, so that two transactions with the same deliveries wait, and not in a circle.
_HEAR_OF = """
INSERT INTO reconciliation.deliveries (delivery_id)
SELECT id FROM unnest($1::uuid[]) AS d (id) GROUP BY id ORDER BY id ON CONFLICT DO NOTHING
"""
# Served by deliveries_pkey.
_LOCK = "SELECT delivery_id FROM reconciliation.deliveries WHERE delivery_id = ANY ($1) ORDER BY delivery_id FOR UPDATE"
# Served by deliveries_waiting: those that were not looked at for the longest.
_LOCK_WAITING = """
SELECT delivery_id FROM reconciliation.deliveries WHERE waits_for IS NOT NULL AND looked_at <= $1
ORDER BY looked_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
# Served by deliveries_pkey.
_SET_WAITING = """
UPDATE reconciliation.deliveries d SET waits_for = w.waits_for, looked_at = w.looked_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS w (delivery_id, waits_for, looked_at)
WHERE d.delivery_id = w.delivery_id AND (d.waits_for, d.looked_at) IS DISTINCT FROM (w.waits_for, w.looked_at)
"""
# Served by deliveries_waiting, all of which it reads.
_COUNT_WAITING = """
SELECT waits_for, count(*) FROM reconciliation.deliveries WHERE waits_for IS NOT NULL GROUP BY waits_for
"""
# Served by delivery_changes_pkey.
_ADD_CHANGES = f"""
INSERT INTO reconciliation.delivery_changes ({_CHANGE_COLUMNS})
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[], $7::uuid[],
  $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[])
ON CONFLICT DO NOTHING
"""  # noqa: S608 - a constant
# Served by delivery_changes_pkey.
_CHANGES_OF = f"SELECT {_CHANGE_COLUMNS} FROM reconciliation.delivery_changes WHERE delivery_id = ANY ($1)"  # noqa: S608 - a constant
# Served by partner_versions_pkey. In order, as above.
_ADD_VERSIONS = f"""
INSERT INTO reconciliation.partner_versions ({_VERSION_COLUMNS}, city_code, on_duty)
SELECT id, number, event_id, vehicle, network_code, changed_at, city_code, on_duty::tstzmultirange
FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
  AS v (id, number, event_id, vehicle, network_code, changed_at, city_code, on_duty)
ORDER BY id, number ON CONFLICT DO NOTHING
"""  # noqa: S608 - a constant
# Served by partner_versions_pkey, read backwards from the newest: the last one until a moment, and the first of all.
_VERSIONS_AT = """
SELECT p.place, v.* FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS p (partner_id, at, place)
CROSS JOIN LATERAL (
  (SELECT partner_id, version, event_id, vehicle, network_code, changed_at FROM reconciliation.partner_versions
   WHERE partner_id = p.partner_id AND changed_at <= p.at ORDER BY version DESC LIMIT 1)
  UNION ALL
  (SELECT partner_id, version, event_id, vehicle, network_code, changed_at FROM reconciliation.partner_versions
   WHERE partner_id = p.partner_id ORDER BY version LIMIT 1)
) v
"""
# Served by partner_versions_pkey.
_VERSION = f"SELECT {_VERSION_COLUMNS} FROM reconciliation.partner_versions WHERE partner_id = $1 AND version = $2"  # noqa: S608 - a constant


async def lock(connection: asyncpg.Connection, delivery_ids: Iterable[UUID]) -> None:
    """Have every other transaction that asks for one of these deliveries wait for the end of this one."""
    ids = sorted(set(delivery_ids))
    await connection.execute(_HEAR_OF, ids)
    await connection.execute(_LOCK, ids)


async def lock_waiting(connection: asyncpg.Connection, not_since: datetime, rows_max: int) -> list[UUID]:
    """Lock deliveries that wait and were not looked at since `not_since`, the longest first; return their ids."""
    return [row["delivery_id"] for row in await connection.fetch(_LOCK_WAITING, not_since, rows_max)]


async def set_waiting(connection: asyncpg.Connection, waits: Mapping[UUID, str | None], now: datetime) -> None:
    """Note for each delivery what it waits for, or None for nothing."""
    looked_at = [None if reason is None else now for reason in waits.values()]
    await connection.execute(_SET_WAITING, list(waits), list(waits.values()), looked_at)


async def count_waiting(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many deliveries wait, by what they wait for."""
    return {row["waits_for"]: row["count"] for row in await connection.fetch(_COUNT_WAITING)}


async def add_changes(connection: asyncpg.Connection, changes: Sequence[Change]) -> None:
    """Keep changes; those that are known are skipped."""
    if changes:
        await connection.execute(_ADD_CHANGES, *map(list, zip(*map(_change_row, changes), strict=True)))


async def changes_of(connection: asyncpg.Connection, delivery_ids: Sequence[UUID]) -> dict[UUID, list[Change]]:
    """Return all that is known of some deliveries, in no order."""
    found = defaultdict(list)
    for row in await connection.fetch(_CHANGES_OF, delivery_ids):
        found[row["delivery_id"]].append(_change_from(row))
    return dict(found)


async def add_versions(connection: asyncpg.Connection, versions: Sequence[PartnerVersion]) -> None:
    """Keep versions of partners; those that are known are skipped."""
    rows = [
        (v.partner_id, v.version, v.event_id, v.vehicle, v.network_code, v.changed_at, v.city_code, _on_duty(v))
        for v in versions
    ]
    if rows:
        await connection.execute(_ADD_VERSIONS, *map(list, zip(*rows, strict=True)))


async def versions_at(
    connection: asyncpg.Connection, moments: Sequence[tuple[UUID, datetime]]
) -> dict[tuple[UUID, datetime], list[PartnerVersion]]:
    """Return for each partner and moment the versions that the partner may be taken to have had then."""
    found = defaultdict(list)
    rows = await connection.fetch(_VERSIONS_AT, [partner_id for partner_id, _ in moments], [at for _, at in moments])
    for row in rows:
        found[moments[row["place"] - 1]].append(_version_from(row))
    return dict(found)


async def version(connection: asyncpg.Connection, partner_id: UUID, number: int) -> PartnerVersion | None:
    """Return one version of a partner, or None."""
    row = await connection.fetchrow(_VERSION, partner_id, number)
    return _version_from(row) if row else None


def _on_duty(version: PartnerVersion) -> str:
    """When the partner is on duty for as long as this version lasts, as PostgreSQL spells sets of spans."""
    if not version.is_online:
        return "{}"
    spans = (f"[{start.isoformat()},{end.isoformat()})" for start, end in version.slots if start < end)
    return "{" + (",".join(spans) or "(,)") + "}"


def _change_row(change: Change) -> tuple[object, ...]:
    order = change.order
    return (
        change.delivery_id, change.sequence, change.event_id, change.state, change.occurred_at, change.partner_id,
        *((order.merchant_id, order.city_code, order.distance_m, order.weight_g, order.cash_paise, order.ready_at,
           order.drop_until) if order else (None,) * 7),
    )  # fmt: skip


def _change_from(row: asyncpg.Record) -> Change:
    order = None
    if row["merchant_id"] is not None:
        order = Order(
            row["merchant_id"], row["city_code"], row["distance_m"], row["weight_g"], row["cash_paise"],
            row["ready_at"], row["drop_until"],
        )  # fmt: skip
    return Change(
        row["delivery_id"], row["sequence"], row["event_id"], row["state"], row["occurred_at"], row["partner_id"], order
    )


def _version_from(row: asyncpg.Record) -> PartnerVersion:
    return PartnerVersion(
        row["partner_id"], row["version"], row["event_id"], row["vehicle"], row["network_code"], row["changed_at"]
    )

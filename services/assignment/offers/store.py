"""Moves of deliveries in PostgreSQL, with the offers and the partners' load that hang on them.

Locks are always taken in one order, deliveries by id and then partners by id, so that no two transactions wait for
each other in a ring. A delivery's lock guards its offers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.deliveries.delivery import Delivery
from services.assignment.deliveries.store import COLUMNS, delivery_from
from services.assignment.errors import PartnerTakenError
from services.assignment.events import LOG_PREFIX
from services.assignment.offers.decision import Decision, decide
from services.assignment.offers.offer import Move, Moved
from services.assignment.offers.queries import COLUMNS as OFFER_COLUMNS
from services.assignment.offers.queries import offer_from

# Served by deliveries_pkey, each id pruned to one partition.
_LOCK_DELIVERIES = f"""
SELECT {COLUMNS} FROM assignment.deliveries WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""  # noqa: S608 - a constant
# Served by offers_live, each id pruned to one partition; OFFSET 0 keeps a plan for any ids from looking into all.
_LIVE_OFFERS = f"""
SELECT live.* FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
  SELECT {OFFER_COLUMNS} FROM assignment.offers WHERE delivery_id = wanted.id AND ended_at IS NULL OFFSET 0) AS live
"""  # noqa: S608 - a constant
# Served by delivery_changes_pkey, each id pruned to one partition. What follows a hand-over is its corrections alone.
_FOLLOWED = """
SELECT wanted.id, before.occurred_at FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
  SELECT occurred_at FROM assignment.delivery_changes
  WHERE delivery_id = wanted.id AND to_state <> 'delivered' ORDER BY sequence DESC LIMIT 1) AS before
"""
# Served by partners_pkey.
_LOCK_PARTNERS = "SELECT id FROM assignment.partners WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# Served by partners_pkey.
_ROOM = """
SELECT id, version, availability = 'online' AS online, parcels_max - parcels_held AS parcels,
  weight_g_max - weight_g_held AS weight_g, volume_cm3_max - volume_cm3_held AS volume_cm3
FROM assignment.partners WHERE id = ANY ($1::uuid[])
"""
# Served by deliveries_pkey.
_MOVE = """
UPDATE assignment.deliveries d
SET state = m.state, partner_id = m.partner_id, unassigned_reason = nullif(m.reason, ''), match_after = m.match_after,
  match_attempts = CASE WHEN m.state = 'pending' THEN 0 ELSE match_attempts END, version = m.version,
  attempts_failed = m.attempts_failed, state_at = m.state_at, updated_at = m.updated_at
FROM unnest($1::uuid[], $2::assignment.delivery_state[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[],
  $7::int[], $8::timestamptz[], $9::timestamptz[])
  AS m (id, state, partner_id, reason, match_after, version, attempts_failed, state_at, updated_at)
WHERE d.id = m.id
"""
_RECORD = """
INSERT INTO assignment.delivery_changes (delivery_id, sequence, merchant_id, from_state, to_state, actor, partner_id,
  occurred_at, recorded_at, lat, lng, reason, note)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::assignment.delivery_state[],
  $5::assignment.delivery_state[], $6::assignment.actor[], $7::uuid[], $8::timestamptz[], $9::timestamptz[],
  $10::float8[], $11::float8[], $12::text[], $13::text[])
"""
_MAKE_OFFERS = """
INSERT INTO assignment.offers (id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g,
  volume_cm3, offered_at, expires_at, answered_at, pickup_rank, drop_rank)
SELECT id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g, volume_cm3, offered_at,
  expires_at, answered_at, coalesce(pickup_rank, nextval('assignment.route_ranks')),
  coalesce(drop_rank, nextval('assignment.route_ranks'))
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[],
  $7::assignment.offer_state[], $8::float8[], $9::int[], $10::bigint[], $11::timestamptz[], $12::timestamptz[],
  $13::timestamptz[], $14::float8[], $15::float8[])
  AS o (id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g, volume_cm3, offered_at,
    expires_at, answered_at, pickup_rank, drop_rank)
"""
# Served by offers_pkey, each pruned to its delivery's week.
_ANSWER_OFFERS = """
UPDATE assignment.offers o
SET state = a.state, answered_at = a.answered_at, reason = a.reason,
  ended_at = CASE WHEN a.state IN ('open', 'accepted') THEN NULL ELSE a.ended_at END
FROM unnest($1::uuid[], $2::assignment.offer_state[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::uuid[])
  AS a (id, state, answered_at, reason, ended_at, delivery_id)
WHERE o.delivery_id = a.delivery_id AND o.id = a.id
"""
# Served by partners_pkey.
_LOAD = """
UPDATE assignment.partners p
SET parcels_held = p.parcels_held + l.parcels, weight_g_held = p.weight_g_held + l.weight_g,
  volume_cm3_held = p.volume_cm3_held + l.volume_cm3
FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[]) AS l (id, parcels, weight_g, volume_cm3)
WHERE p.id = l.id
"""
_Load = tuple[int, int, int]


async def transition(
    connection: asyncpg.Connection,
    moves: Sequence[Move],
    now: datetime,
    event_of: Callable[[Moved, str], str],
) -> list[Moved | Exception]:
    """Make each move that is legal now, in the current transaction; return for each what it did, or its refusal.

    A refused move changes nothing and costs the others nothing. Several moves of one delivery happen in their order.
    `event_of` gives a move's event.
    """
    results: list[Moved | Exception] = [LookupError()] * len(moves)
    waiting = list(range(len(moves)))
    if len({move.delivery_id for move in moves}) < len(moves):
        await _lock_for_all_rounds(connection, moves)
    while waiting:
        taken: set[UUID] = set()
        this_round: list[int] = []
        later: list[int] = []
        for place in waiting:
            (later if moves[place].delivery_id in taken else this_round).append(place)
            taken.add(moves[place].delivery_id)
        made = await _transition_distinct(connection, [moves[place] for place in this_round], now, event_of)
        for place, result in zip(this_round, made, strict=True):
            results[place] = result
        waiting = later
    return results


async def _lock_for_all_rounds(connection: asyncpg.Connection, moves: Sequence[Move]) -> None:
    """Lock before the first round what any round may need: a later one would take its partners out of order."""
    ids = sorted({move.delivery_id for move in moves})
    await connection.fetch(_LOCK_DELIVERIES, ids)
    partners = {row["partner_id"] for row in await connection.fetch(_LIVE_OFFERS, ids)}
    partners |= {move.new_offer.partner_id for move in moves if move.new_offer is not None}
    await connection.fetch(_LOCK_PARTNERS, sorted(partners))


async def _transition_distinct(
    connection: asyncpg.Connection, moves: Sequence[Move], now: datetime, event_of: Callable[[Moved, str], str]
) -> list[Moved | Exception]:
    ids = [move.delivery_id for move in moves]
    deliveries: dict[UUID, Delivery] = {
        row["id"]: delivery_from(row) for row in await connection.fetch(_LOCK_DELIVERIES, ids)
    }
    live = {row["delivery_id"]: offer_from(row) for row in await connection.fetch(_LIVE_OFFERS, ids)}
    corrected = [move.delivery_id for move in moves if move.corrects]
    followed = dict(await connection.fetch(_FOLLOWED, corrected)) if corrected else {}
    decisions: list[Decision | Exception] = []
    for move in moves:
        known = deliveries.get(move.delivery_id), live.get(move.delivery_id)
        try:
            decisions.append(decide(move, *known, now, followed.get(move.delivery_id)))
        except Exception as error:  # noqa: BLE001 - a refusal is the answer of this move alone
            decisions.append(error)
    decisions = await _admit(connection, decisions)
    legal = [decision for decision in decisions if isinstance(decision, Decision)]
    if legal:
        await _write(connection, legal, now)
        await emit(connection, LOG_PREFIX, [event_of(d.moved, d.move.traceparent) for d in legal])
    return [decision.moved if isinstance(decision, Decision) else decision for decision in decisions]


async def _admit(connection: asyncpg.Connection, decisions: list[Decision | Exception]) -> list[Decision | Exception]:
    """Lock the partners concerned, and refuse the new offers that they have no room for, dearest first."""
    legal = [decision for decision in decisions if isinstance(decision, Decision)]
    partners = {offer.partner_id for d in legal for offer in (d.ended_offer, d.made_offer) if offer is not None}
    if partners:
        await connection.fetch(_LOCK_PARTNERS, sorted(partners))
    taking = sorted((d for d in legal if d.made_offer), key=lambda d: (d.move.new_offer.cost_s, d.move.delivery_id))  # type: ignore[union-attr]  # made_offer implies new_offer
    if not taking:
        return decisions
    room = {
        row["id"]: row
        for row in await connection.fetch(_ROOM, list({d.made_offer.partner_id for d in taking if d.made_offer}))
    }
    used: dict[UUID, _Load] = {}
    refused: dict[UUID, PartnerTakenError] = {}
    for decision in taking:
        delivery, offer = decision.moved.delivery, decision.made_offer
        if offer is None:
            continue
        parcels, weight_g, volume_cm3 = used.get(offer.partner_id, (0, 0, 0))
        wanted = (parcels + 1, weight_g + delivery.details.weight_g, volume_cm3 + delivery.details.volume_cm3)
        row = room.get(offer.partner_id)
        if row is None or not row["online"]:
            refused[delivery.id] = PartnerTakenError("went offline", reason="PARTNER_OFFLINE")
        elif _has_changed(decision, row):
            refused[delivery.id] = PartnerTakenError("has changed meanwhile", reason="PARTNER_CHANGED")
        elif wanted[0] > row["parcels"] or wanted[1] > row["weight_g"] or wanted[2] > row["volume_cm3"]:
            refused[delivery.id] = PartnerTakenError("has no room left", reason="PARTNER_FULL")
        else:
            used[offer.partner_id] = wanted
    return [refused.get(d.move.delivery_id, d) if isinstance(d, Decision) and d.made_offer else d for d in decisions]


def _has_changed(decision: Decision, row: asyncpg.Record) -> bool:
    new = decision.move.new_offer
    return new is not None and new.partner_version not in (None, row["version"])


async def _write(connection: asyncpg.Connection, decisions: Sequence[Decision], now: datetime) -> None:
    deliveries = [d.moved.delivery for d in decisions]
    changes = [d.moved.change for d in decisions]
    ids = [delivery.id for delivery in deliveries]
    await connection.execute(
        _MOVE,
        ids,
        [delivery.state.value for delivery in deliveries],
        [delivery.partner_id for delivery in deliveries],
        [delivery.unassigned_reason for delivery in deliveries],
        [delivery.match_after for delivery in deliveries],
        [delivery.version for delivery in deliveries],
        [delivery.attempts_failed for delivery in deliveries],
        [delivery.state_at for delivery in deliveries],
        [delivery.updated_at for delivery in deliveries],
    )
    await connection.execute(
        _RECORD,
        ids,
        [change.sequence for change in changes],
        [delivery.details.merchant_id for delivery in deliveries],
        [change.from_state.value if change.from_state else None for change in changes],
        [change.to_state.value for change in changes],
        [change.actor.value for change in changes],
        [change.partner_id for change in changes],
        [change.occurred_at for change in changes],
        [change.recorded_at for change in changes],
        [change.location.lat if change.location else None for change in changes],
        [change.location.lng if change.location else None for change in changes],
        [change.reason for change in changes],
        [change.note for change in changes],
    )
    await _write_offers(connection, decisions, now)
    await _write_load(connection, decisions)


async def _write_offers(connection: asyncpg.Connection, decisions: Sequence[Decision], now: datetime) -> None:
    answered = [
        (d.moved.offer, d.move.reason) for d in decisions
        if (d.made_offer is None and d.moved.offer is not None and d.moved.offer.answered_at == now) or d.ended_offer
    ]  # fmt: skip
    touched = [(offer, reason) for offer, reason in answered if offer is not None]
    if touched:
        await connection.execute(
            _ANSWER_OFFERS,
            [offer.id for offer, _ in touched],
            [offer.state.value for offer, _ in touched],
            [offer.answered_at for offer, _ in touched],
            [reason for _, reason in touched],
            [now] * len(touched),
            [offer.delivery_id for offer, _ in touched],
        )
    made = [(d.made_offer, d.moved.delivery) for d in decisions if d.made_offer is not None]
    if made:
        await connection.execute(
            _MAKE_OFFERS,
            [offer.id for offer, _ in made],
            [offer.delivery_id for offer, _ in made],
            [delivery.details.merchant_id for _, delivery in made],
            [offer.partner_id for offer, _ in made],
            [offer.window_id for offer, _ in made],
            [offer.city_code for offer, _ in made],
            [offer.state.value for offer, _ in made],
            [offer.cost_s for offer, _ in made],
            [delivery.details.weight_g for _, delivery in made],
            [delivery.details.volume_cm3 for _, delivery in made],
            [offer.offered_at for offer, _ in made],
            [offer.expires_at for offer, _ in made],
            [offer.answered_at for offer, _ in made],
            [d.move.new_offer.pickup_rank for d in decisions if d.made_offer and d.move.new_offer],
            [d.move.new_offer.drop_rank for d in decisions if d.made_offer and d.move.new_offer],
        )


async def _write_load(connection: asyncpg.Connection, decisions: Sequence[Decision]) -> None:
    parcels: Counter[UUID] = Counter()
    weight_g: Counter[UUID] = Counter()
    volume_cm3: Counter[UUID] = Counter()
    for decision in decisions:
        details = decision.moved.delivery.details
        for offer, sign in ((decision.made_offer, 1), (decision.ended_offer, -1)):
            if offer is not None:
                parcels[offer.partner_id] += sign
                weight_g[offer.partner_id] += sign * details.weight_g
                volume_cm3[offer.partner_id] += sign * details.volume_cm3
    if parcels:
        ids = sorted(parcels)
        columns = ([parcels[i] for i in ids], [weight_g[i] for i in ids], [volume_cm3[i] for i in ids])
        await connection.execute(_LOAD, ids, *columns)

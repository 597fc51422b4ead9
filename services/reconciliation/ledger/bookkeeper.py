"""Books what the facts ask for: gathers them in one transaction, asks the pure rules, and writes what they decide."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.reconciliation.deliveries import store as facts_store
from services.reconciliation.ledger import store
from services.reconciliation.ledger.booking import Booked, Decision, EntryKind, Pay, Undo, Wait, decide
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.facts import PartnerVersion, Trip, trip_of, version_at
from services.reconciliation.ledger.rates import RateCard, Scope
from services.reconciliation.rate_cards import store as rate_cards

Versions = Mapping[tuple[UUID, datetime], list[PartnerVersion]]
Cards = Mapping[tuple[Scope, datetime], RateCard]


async def book(connection: asyncpg.Connection, delivery_ids: Sequence[UUID], now: datetime) -> Counter[str]:
    """Book what is due for deliveries that this transaction has locked; return how many of each outcome.

    An outcome is the kind of an entry, or what a delivery waits for.
    """
    changes = await facts_store.changes_of(connection, delivery_ids)
    entries = await _entries_by_kind(connection, delivery_ids)
    trips = {id_: trip for id_, known in changes.items() if not entries[id_] and (trip := trip_of(known))}
    versions, cards = await _versions_and_cards(connection, list(trips.values()))

    def card_of(scope: Scope, trip: Trip) -> RateCard | None:
        return cards.get((scope, trip.delivered_at))

    decisions: dict[UUID, Decision] = {}
    for delivery_id, known in changes.items():
        trip = trips.get(delivery_id)
        partners = versions.get((trip.partner_id, trip.delivered_at), ()) if trip else ()
        decisions[delivery_id] = decide(known, partners, card_of, _booked(entries[delivery_id]))
    new = [_paid(decision, now) for decision in decisions.values() if isinstance(decision, Pay)]
    new += [
        _undone(decision, entries[delivery_id][EntryKind.EARNINGS], now)
        for delivery_id, decision in decisions.items()
        if isinstance(decision, Undo)
    ]
    await store.add(connection, new)
    waits = {id_: d.reason.value if isinstance(d, Wait) else None for id_, d in decisions.items()}
    await facts_store.set_waiting(connection, waits, now)
    return Counter([entry.kind.value for entry in new] + [reason for reason in waits.values() if reason])


async def _entries_by_kind(
    connection: asyncpg.Connection, delivery_ids: Sequence[UUID]
) -> dict[UUID, dict[EntryKind, Entry]]:
    found: dict[UUID, dict[EntryKind, Entry]] = defaultdict(dict)
    for entry in await store.entries_of(connection, delivery_ids):
        found[entry.delivery_id][entry.kind] = entry
    return found


async def _versions_and_cards(connection: asyncpg.Connection, trips: Sequence[Trip]) -> tuple[Versions, Cards]:
    """Return what the trips' partners were at their hand-overs, and the rate cards in force for them then."""
    if not trips:
        return {}, {}
    versions = await facts_store.versions_at(connection, sorted({(t.partner_id, t.delivered_at) for t in trips}))
    wanted = set()
    for trip in trips:
        at = trip.delivered_at
        if partner := version_at(versions.get((trip.partner_id, at), ()), at):
            wanted.add((Scope(trip.city_code, partner.vehicle, partner.network_code), at))
    return versions, await rate_cards.in_force(connection, sorted(wanted)) if wanted else {}


def _booked(entries: Mapping[EntryKind, Entry]) -> Booked | None:
    earned = entries.get(EntryKind.EARNINGS)
    return Booked(earned.id, earned.postings, EntryKind.REVERSAL in entries) if earned else None


def _paid(pay: Pay, now: datetime) -> Entry:
    return Entry(
        id=new_id(),
        kind=EntryKind.EARNINGS,
        cause_event_id=pay.cause_event_id,
        event_ids=pay.event_ids,
        delivery_id=pay.trip.delivery_id,
        merchant_id=pay.trip.merchant_id,
        partner_id=pay.trip.partner_id,
        partner_version=pay.partner.version,
        rate_card_id=pay.card.id,
        reverses=None,
        occurred_at=pay.trip.delivered_at,
        booked_at=now,
        postings=pay.postings,
    )


def _undone(undo: Undo, earned: Entry, now: datetime) -> Entry:
    return Entry(
        id=new_id(),
        kind=EntryKind.REVERSAL,
        cause_event_id=undo.cause_event_id,
        event_ids=(*earned.event_ids, undo.cause_event_id),
        delivery_id=earned.delivery_id,
        merchant_id=earned.merchant_id,
        partner_id=earned.partner_id,
        partner_version=earned.partner_version,
        rate_card_id=earned.rate_card_id,
        reverses=earned.id,
        occurred_at=undo.cause.occurred_at,
        booked_at=now,
        postings=undo.postings,
    )

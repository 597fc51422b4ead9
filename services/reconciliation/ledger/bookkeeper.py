"""Books what the facts ask for: gathers them in one transaction, asks the pure rules, and writes what they decide."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.reconciliation.deliveries import store as facts_store
from services.reconciliation.ledger import store
from services.reconciliation.ledger.booking import (
    Booked,
    Correct,
    Decision,
    EntryKind,
    Pay,
    Undo,
    Wait,
    decide,
    is_to_be_priced,
)
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.facts import PartnerVersion, Trip, latest, trip_of, version_at
from services.reconciliation.ledger.postings import netted
from services.reconciliation.ledger.rates import RateCard, Scope
from services.reconciliation.rate_cards import store as rate_cards

Cards = Mapping[tuple[Scope, datetime], RateCard]
# What a delivery is paid by; what undoes that is not.
PRICED = (EntryKind.EARNINGS, EntryKind.CORRECTION)


async def book(connection: asyncpg.Connection, delivery_ids: Sequence[UUID], now: datetime) -> Counter[str]:
    """Book what is due for deliveries that this transaction has locked; return how many of each outcome.

    An outcome is the kind of an entry, or what a delivery waits for.
    """
    changes = await facts_store.changes_of(connection, delivery_ids)
    entries: dict[UUID, list[Entry]] = defaultdict(list)
    for entry in await store.entries_of(connection, delivery_ids):
        entries[entry.delivery_id].append(entry)
    booked = {id_: booked_of(entries[id_]) for id_ in changes}
    trips = {
        id_: trip
        for id_, known in changes.items()
        if is_to_be_priced(latest(known), booked[id_]) and (trip := trip_of(known))
    }
    partners = await _partners(connection, trips, booked)
    cards = await _cards(connection, trips, partners)

    def card_of(scope: Scope, trip: Trip) -> RateCard | None:
        return cards.get((scope, trip.priced_at))

    decisions: dict[UUID, Decision] = {
        id_: decide(known, [partners[id_]] if id_ in partners else [], card_of, booked[id_])
        for id_, known in changes.items()
    }
    new = [
        _entry_of(decision, entries[id_], now)
        for id_, decision in decisions.items()
        if isinstance(decision, Pay | Correct | Undo)
    ]
    await store.add(connection, new)
    waits = {id_: d.reason.value if isinstance(d, Wait) else None for id_, d in decisions.items()}
    await facts_store.set_waiting(connection, waits, now)
    return Counter([entry.kind.value for entry in new] + [reason for reason in waits.values() if reason])


def booked_of(entries: Sequence[Entry]) -> Booked | None:
    """Return what a delivery's entries come to, but for what undoes them; None for none."""
    priced = [entry for entry in entries if entry.kind in PRICED]
    earned = next((entry for entry in priced if entry.kind is EntryKind.EARNINGS), None)
    if earned is None:
        return None
    return Booked(
        entry_id=earned.id,
        postings=netted(posting for entry in priced for posting in entry.postings),
        event_ids=frozenset(event_id for entry in priced for event_id in entry.event_ids),
        partner_version=earned.partner_version,
        is_reversed=any(entry.kind is EntryKind.REVERSAL for entry in entries),
    )


async def _partners(
    connection: asyncpg.Connection, trips: Mapping[UUID, Trip], booked: Mapping[UUID, Booked | None]
) -> dict[UUID, PartnerVersion]:
    """Return by which version of its partner each trip is paid: as it was paid before, or that of its hand-over."""
    found: dict[UUID, PartnerVersion] = {}
    new = {id_: (trip.partner_id, trip.priced_at) for id_, trip in trips.items() if booked[id_] is None}
    versions = await facts_store.versions_at(connection, sorted(set(new.values()))) if new else {}
    for id_, trip in trips.items():
        known = booked[id_]
        if known is None:
            partner = version_at(versions.get(new[id_], ()), trip.priced_at)
        else:
            partner = await facts_store.version(connection, trip.partner_id, known.partner_version)
        if partner is not None:
            found[id_] = partner
    return found


async def _cards(
    connection: asyncpg.Connection, trips: Mapping[UUID, Trip], partners: Mapping[UUID, PartnerVersion]
) -> Cards:
    """Return the rate cards that were in force for the trips at their hand-overs."""
    wanted = {
        (Scope(trips[id_].city_code, partner.vehicle, partner.network_code), trips[id_].priced_at)
        for id_, partner in partners.items()
    }
    return await rate_cards.in_force(connection, sorted(wanted)) if wanted else {}


def _entry_of(decision: Pay | Correct | Undo, known: Sequence[Entry], now: datetime) -> Entry:
    if isinstance(decision, Undo):
        return _undone(decision, known, now)
    right = decision if isinstance(decision, Pay) else decision.right
    return Entry(
        id=new_id(),
        kind=EntryKind.EARNINGS if isinstance(decision, Pay) else EntryKind.CORRECTION,
        cause_event_id=decision.cause_event_id,
        event_ids=right.event_ids,
        delivery_id=right.trip.delivery_id,
        merchant_id=right.trip.merchant_id,
        partner_id=right.trip.partner_id,
        partner_version=right.partner.version,
        rate_card_id=right.card.id,
        reverses=None,
        corrects=None if isinstance(decision, Pay) else decision.entry_id,
        occurred_at=right.trip.delivered_at,
        booked_at=now,
        postings=decision.postings,
    )


def _undone(undo: Undo, known: Sequence[Entry], now: datetime) -> Entry:
    earned = next(entry for entry in known if entry.id == undo.entry_id)
    events = dict.fromkeys(event_id for entry in known for event_id in entry.event_ids)
    return Entry(
        id=new_id(),
        kind=EntryKind.REVERSAL,
        cause_event_id=undo.cause_event_id,
        event_ids=(*events, undo.cause_event_id),
        delivery_id=earned.delivery_id,
        merchant_id=earned.merchant_id,
        partner_id=earned.partner_id,
        partner_version=earned.partner_version,
        rate_card_id=earned.rate_card_id,
        reverses=earned.id,
        corrects=None,
        occurred_at=undo.cause.occurred_at,
        booked_at=now,
        postings=undo.postings,
    )

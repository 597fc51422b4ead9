"""Gathers what an entry of a delivery names, for its arithmetic to be done again."""

from collections.abc import Sequence

import asyncpg

from services.reconciliation.deliveries import store as facts_store
from services.reconciliation.ledger.bookkeeper import PRICED
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.explanation import Explanation, explain
from services.reconciliation.ledger.postings import netted
from services.reconciliation.rate_cards import store as rate_cards


async def explanation_of(connection: asyncpg.Connection, entry: Entry, known: Sequence[Entry]) -> Explanation | None:
    """Return the arithmetic behind an entry of those that are known of its delivery.

    None where it is not kept any more, and for what undoes others.
    """
    if entry.kind not in PRICED:
        return None
    changes = (await facts_store.changes_of(connection, [entry.delivery_id])).get(entry.delivery_id, [])
    partner = await facts_store.version(connection, entry.partner_id, entry.partner_version)
    card = await rate_cards.get(connection, entry.rate_card_id)
    if card is None:
        return None
    # Not by their ids: these are of the clocks of those who booked them.
    sequences = {change.event_id: change.sequence for change in changes}
    place = sequences.get(entry.cause_event_id, 0)
    before = netted(
        posting
        for other in known
        if other.kind in PRICED and sequences.get(other.cause_event_id, 0) < place
        for posting in other.postings
    )
    return explain(entry, before, changes, partner, card)

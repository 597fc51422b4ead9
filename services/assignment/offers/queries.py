"""Reading offers: one, or a list by filters."""

from uuid import UUID

import asyncpg

from services.assignment.deliveries.lifecycle import OfferState
from services.assignment.deliveries.store import PAGES
from services.assignment.listing import StateList
from services.assignment.offers.offer import Offer

COLUMNS = """
  id, delivery_id, partner_id, window_id, city_code, state, cost_s, offered_at, expires_at, answered_at
"""
# Served by offers_by_id of every week: an offer may be much younger than its delivery, whose id is not known here.
_GET = f"SELECT {COLUMNS} FROM assignment.offers WHERE id = $1"  # noqa: S608 - a constant
# Served by offers_by_partner, offers_pkey for a delivery, offers_by_city or, without filters, offers_by_id; by
# offers_live_by_id, offers_live_by_city and offers_refused_by_city for their states.
_LIST = f"""
SELECT {COLUMNS} FROM assignment.offers WHERE id < $1 {{filters}} ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant
_FILTERS = {
    "partner_id": "AND partner_id = ${n}::uuid",
    "delivery_id": "AND delivery_id = ${n}::uuid",
    "city_code": "AND city_code = ${n}::text",
    "states": "AND state = ANY (${n}::assignment.offer_state[])",
}
LISTS = StateList(
    plain=_LIST,
    merged=PAGES.format(limit="$2"),
    filters=_FILTERS,
    groups={
        "AND ended_at IS NULL": frozenset({OfferState.OPEN, OfferState.ACCEPTED}),
        "AND state IN ('rejected', 'expired', 'withdrawn')": frozenset(
            {OfferState.REJECTED, OfferState.EXPIRED, OfferState.WITHDRAWN}
        ),
    },
    few=frozenset({"partner_id", "delivery_id"}),
    first_place=3,
)
_ID_MAX = UUID(int=(1 << 128) - 1)


async def get(connection: asyncpg.Connection, offer_id: UUID) -> Offer | None:
    """Return an offer, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, offer_id)
    return offer_from(row) if row else None


async def search(
    connection: asyncpg.Connection, *, before_id: UUID | None, rows_max: int, filters: dict[str, object]
) -> list[Offer]:
    """Return offers that meet every filter (names of _FILTERS), newest first, before `before_id`."""
    statement, values = LISTS.statement(filters)
    rows = await connection.fetch(statement, before_id or _ID_MAX, rows_max, *values)
    return [offer_from(row) for row in rows]


def offer_from(row: asyncpg.Record) -> Offer:
    """Return the offer that a row of COLUMNS holds."""
    return Offer(
        id=row["id"],
        delivery_id=row["delivery_id"],
        partner_id=row["partner_id"],
        window_id=row["window_id"],
        city_code=row["city_code"],
        state=OfferState(row["state"]),
        cost_s=row["cost_s"],
        offered_at=row["offered_at"],
        expires_at=row["expires_at"],
        answered_at=row["answered_at"],
    )

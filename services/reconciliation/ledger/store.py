"""The ledger in PostgreSQL: every statement of this noun. It adds and reads; nothing in it can be changed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.postings import Account, AccountKind, Posting

# Served by entry_once: whoever books the same cause again, books nothing.
_ADD_ENTRIES = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, reverses, occurred_at, booked_at, postings_count)
SELECT id, kind::reconciliation.entry_kind, cause_event_id, event_ids::uuid[], delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, reverses, occurred_at, booked_at, postings_count
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[],
  $9::uuid[], $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::smallint[])
  AS e (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id, partner_version, rate_card_id,
    reverses, occurred_at, booked_at, postings_count)
ON CONFLICT ON CONSTRAINT entry_once DO NOTHING RETURNING id
"""
_ADD_POSTINGS = """
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, merchant_id,
  booked_at)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::uuid[],
  $8::timestamptz[])
"""
_ADD_CORRECTIONS = """
INSERT INTO reconciliation.corrections (entry_id, corrects, merchant_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])
"""
# Served by entry_once_for_delivery, corrections_of and entries_pkey. What a correction corrects says of which delivery
# it is.
_ENTRIES_OF = """
WITH own AS MATERIALIZED (SELECT * FROM reconciliation.entries WHERE delivery_id = ANY ($1))
SELECT id, kind::text, cause_event_id, event_ids, delivery_id, merchant_id, partner_id, partner_version, rate_card_id,
  reverses, NULL::uuid AS corrects, occurred_at, booked_at
FROM own
UNION ALL
SELECT c.id, c.kind::text, c.cause_event_id, c.event_ids, own.delivery_id, c.merchant_id, c.partner_id,
  c.partner_version, c.rate_card_id, c.reverses, own.id, c.occurred_at, c.booked_at
FROM own CROSS JOIN LATERAL (
  SELECT e.* FROM reconciliation.corrections k JOIN reconciliation.entries e ON e.id = k.entry_id
  WHERE k.corrects = own.id OFFSET 0
) c
ORDER BY id
"""
# Served by postings_pkey.
_POSTINGS_OF = """
SELECT entry_id, account, purpose, paise FROM reconciliation.postings WHERE entry_id = ANY ($1) ORDER BY entry_id, line
"""
# Served by postings_by_account, and by nothing but the index.
_BALANCE = """
SELECT coalesce(sum(paise), 0)::bigint AS paise, count(*) AS postings
FROM reconciliation.postings WHERE account = $1 AND booked_at <= $2
"""


async def add(connection: asyncpg.Connection, entries: Sequence[Entry]) -> int:
    """Add entries with their postings; return how many were new: a cause is booked once of each kind."""
    if not entries:
        return 0
    rows = [
        (e.id, e.kind.value, e.cause_event_id, _array(e.event_ids), None if e.corrects else e.delivery_id,
         e.merchant_id, e.partner_id, e.partner_version, e.rate_card_id, e.reverses, e.occurred_at, e.booked_at,
         len(e.postings))
        for e in entries
    ]  # fmt: skip
    added = {row["id"] for row in await connection.fetch(_ADD_ENTRIES, *map(list, zip(*rows, strict=True)))}
    postings = [
        row
        for entry in entries
        if entry.id in added
        for row in _posting_rows(entry.id, entry.postings, entry.booked_at)
    ]
    if postings:
        await connection.execute(_ADD_POSTINGS, *map(list, zip(*postings, strict=True)))
    corrections = [(e.id, e.corrects, e.merchant_id) for e in entries if e.corrects and e.id in added]
    if corrections:
        await connection.execute(_ADD_CORRECTIONS, *map(list, zip(*corrections, strict=True)))
    return len(added)


async def add_postings(
    connection: asyncpg.Connection, entry_id: UUID, postings: Sequence[Posting], booked_at: datetime
) -> None:
    """Add the postings of an entry that is of no delivery, in the transaction that adds it."""
    rows = _posting_rows(entry_id, postings, booked_at)
    await connection.execute(_ADD_POSTINGS, *map(list, zip(*rows, strict=True)))


async def entries_of(connection: asyncpg.Connection, delivery_ids: Sequence[UUID]) -> list[Entry]:
    """Return the entries of some deliveries, oldest first, with the postings that the caller may see."""
    rows = await connection.fetch(_ENTRIES_OF, delivery_ids)
    postings = defaultdict(list)
    for row in await connection.fetch(_POSTINGS_OF, [row["id"] for row in rows]):
        account = Account.parse(row["account"])
        postings[row["entry_id"]].append(Posting(account, row["purpose"], row["paise"]))
    return [_entry_from(row, tuple(postings[row["id"]])) for row in rows]


async def balance(connection: asyncpg.Connection, account: Account, at: datetime) -> tuple[int, int]:
    """Return the paise of an account as they were booked by a moment, and how many postings they are of."""
    row = await connection.fetchrow(_BALANCE, str(account), at)
    return row["paise"], row["postings"]


def _array(ids: Sequence[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"


def _posting_rows(entry_id: UUID, postings: Sequence[Posting], booked_at: datetime) -> list[tuple[object, ...]]:
    return [
        (entry_id, line, len(postings), str(p.account), p.purpose, p.paise, _merchant_of(p.account), booked_at)
        for line, p in enumerate(postings, 1)
    ]


def _merchant_of(account: Account) -> UUID | None:
    return UUID(account.owner) if account.kind is AccountKind.MERCHANT else None


def _entry_from(row: asyncpg.Record, postings: tuple[Posting, ...]) -> Entry:
    return Entry(
        id=row["id"],
        kind=EntryKind(row["kind"]),
        cause_event_id=row["cause_event_id"],
        event_ids=tuple(row["event_ids"]),
        delivery_id=row["delivery_id"],
        merchant_id=row["merchant_id"],
        partner_id=row["partner_id"],
        partner_version=row["partner_version"],
        rate_card_id=row["rate_card_id"],
        reverses=row["reverses"],
        corrects=row["corrects"],
        occurred_at=row["occurred_at"],
        booked_at=row["booked_at"],
        postings=postings,
    )

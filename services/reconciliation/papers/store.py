"""Invoices in PostgreSQL: every statement of this noun. What is issued never changes."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import asyncpg

from services.reconciliation.papers.issuing import Fees

_COLUMNS = """
  id, number, state_code, financial_year, sequence, merchant_id, month, place_of_supply, taxable_paise, cgst_paise,
  sgst_paise, igst_paise, rounding_paise, payable_paise, content_sha256, issued_at, issued_by
"""
# Serves no index: who issues in the same state waits for the other, so that no number is left out.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(10), 'invoices', $1::text), 0))"
# Served by invoice_once.
_SAME = f"""
SELECT {_COLUMNS} FROM reconciliation.invoices WHERE merchant_id = $1 AND state_code = $2 AND month = $3
"""  # noqa: S608 - a constant
# Served by invoice_sequence, read backwards.
_LAST_SEQUENCE = """
SELECT sequence FROM reconciliation.invoices WHERE state_code = $1 AND financial_year = $2
ORDER BY sequence DESC LIMIT 1
"""
# Served by postings_by_account, and for each posting by the keys of its entry, its order and its rate card. A
# correction is of the delivery that it corrects.
_FEES = """
SELECT c.city_code, coalesce((r.terms->>'gst_bp')::integer, 0) AS rate_bp, e.kind::text AS kind,
  count(DISTINCT e.id) AS entries,
  coalesce(sum(p.paise) FILTER (WHERE p.purpose = 'fee'), 0)::bigint AS fee_paise,
  coalesce(sum(p.paise) FILTER (WHERE p.purpose = 'gst'), 0)::bigint AS gst_paise
FROM reconciliation.postings p
JOIN reconciliation.entries e ON e.id = p.entry_id
JOIN reconciliation.delivery_changes c ON c.city_code IS NOT NULL AND c.delivery_id = coalesce(e.delivery_id,
  (SELECT o.delivery_id FROM reconciliation.corrections k JOIN reconciliation.entries o ON o.id = k.corrects
    WHERE k.entry_id = e.id))
JOIN reconciliation.rate_cards r ON r.id = e.rate_card_id
WHERE p.account = $1 AND p.booked_at >= $2 AND p.booked_at < $3 AND p.purpose IN ('fee', 'gst')
  AND c.city_code = ANY ($4)
GROUP BY 1, 2, 3 ORDER BY 3, 1, 2
"""
_ADD = f"""
INSERT INTO reconciliation.invoices ({_COLUMNS}, content, pdf)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""  # noqa: S608 - a constant
# Served by invoices_pkey.
_GET = f"SELECT {_COLUMNS} FROM reconciliation.invoices WHERE id = $1"  # noqa: S608 - a constant
# Served by invoices_pkey.
_PAPER = "SELECT number, pdf FROM reconciliation.invoices WHERE id = $1"
# Served by invoices_pkey, whose order is the list's.
_LIST = f"""
SELECT {_COLUMNS} FROM reconciliation.invoices
WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant
# Served by invoices_by_merchant.
_LIST_OF_MERCHANT = f"""
SELECT {_COLUMNS} FROM reconciliation.invoices
WHERE merchant_id = $3 AND id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """An invoice as it is kept, but for its contents and its bytes. `month` is its first day."""

    id: UUID
    number: str
    state_code: str
    financial_year: int
    sequence: int
    merchant_id: UUID
    month: date
    place_of_supply: str
    taxable_paise: int
    cgst_paise: int
    sgst_paise: int
    igst_paise: int
    rounding_paise: int
    payable_paise: int
    content_sha256: bytes
    issued_at: datetime
    issued_by: str


async def lock(connection: asyncpg.Connection, state_code: str) -> None:
    """Have others who issue in the state wait for the end of this transaction."""
    await connection.execute(_LOCK, state_code)


async def same(connection: asyncpg.Connection, merchant_id: UUID, state_code: str, month: date) -> IssuedInvoice | None:
    """Return what was issued to a merchant for a month, or None."""
    row = await connection.fetchrow(_SAME, merchant_id, state_code, month)
    return IssuedInvoice(**row) if row else None


async def last_sequence(connection: asyncpg.Connection, state_code: str, year: int) -> int:
    """Return the last number of a state and a financial year; 0 before the first."""
    return await connection.fetchval(_LAST_SEQUENCE, state_code, year) or 0


async def fees(
    connection: asyncpg.Connection, account: str, since: datetime, until: datetime, city_codes: list[str]
) -> list[Fees]:
    """Return a merchant's fees and their tax, as they were booked from a moment until before another."""
    return [Fees(**row) for row in await connection.fetch(_FEES, account, since, until, city_codes)]


async def add(connection: asyncpg.Connection, made: IssuedInvoice, content: str, pdf: bytes) -> None:
    """Store an invoice with what it is made of, as JSON, and its bytes."""
    await connection.execute(
        _ADD, made.id, made.number, made.state_code, made.financial_year, made.sequence, made.merchant_id, made.month,
        made.place_of_supply, made.taxable_paise, made.cgst_paise, made.sgst_paise, made.igst_paise,
        made.rounding_paise, made.payable_paise, made.content_sha256, made.issued_at, made.issued_by, content, pdf,
    )  # fmt: skip


async def get(connection: asyncpg.Connection, invoice_id: UUID) -> IssuedInvoice | None:
    """Return one invoice, or None."""
    row = await connection.fetchrow(_GET, invoice_id)
    return IssuedInvoice(**row) if row else None


async def paper(connection: asyncpg.Connection, invoice_id: UUID) -> tuple[str, bytes] | None:
    """Return an invoice's number and its PDF, or None."""
    row = await connection.fetchrow(_PAPER, invoice_id)
    return (row["number"], row["pdf"]) if row else None


async def search(
    connection: asyncpg.Connection, merchant_id: UUID | None, before_id: UUID | None, rows_max: int
) -> list[IssuedInvoice]:
    """Return invoices, the youngest first: a merchant's, or all that the caller may see."""
    if merchant_id is None:
        rows = await connection.fetch(_LIST, before_id, rows_max)
    else:
        rows = await connection.fetch(_LIST_OF_MERCHANT, before_id, rows_max, merchant_id)
    return [IssuedInvoice(**row) for row in rows]

"""What runs found that was paid and handed in, in PostgreSQL: every statement of booking that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

# The part of what was done when a run was closed.
WHOLE = -1
# Served by runs_pkey, settlement_runs_pkey and run_chunks_pkey: runs are closed one after the other.
_NEXT_RUN = """
SELECT r.run_no, -1 AS part, ARRAY(SELECT c.chunk FROM reconciliation.run_chunks c
  WHERE c.run_no = r.run_no AND c.state = 'done' ORDER BY c.chunk) AS chunks
FROM reconciliation.runs r
WHERE r.run_no > (SELECT coalesce(max(run_no), 0) FROM reconciliation.settlement_runs) AND r.closed_at IS NOT NULL
ORDER BY r.run_no LIMIT 1
"""
# Served by settlement_chunks_left_pkey and run_chunks_pkey; there are a few.
_NEXT_LEFT = """
SELECT l.run_no, l.chunk AS part, ARRAY[l.chunk] AS chunks FROM reconciliation.settlement_chunks_left l
JOIN reconciliation.run_chunks c ON c.run_no = l.run_no AND c.chunk = l.chunk
WHERE c.state = 'done' ORDER BY l.run_no, l.chunk LIMIT 1
"""
# Served by run_chunks_pkey.
_LEAVE = """
INSERT INTO reconciliation.settlement_chunks_left (run_no, chunk)
SELECT run_no, chunk FROM reconciliation.run_chunks WHERE run_no = $1 AND chunk <> ALL ($2::int[])
"""
# Served by settlement_chunks_left_pkey.
_LEFT_BOOKED = "DELETE FROM reconciliation.settlement_chunks_left WHERE run_no = $1 AND chunk = $2"
_ADD_PAYMENTS = """
INSERT INTO reconciliation.settlement_payments (entry_id, run_no, part, party, leg, paise)
SELECT entry_id, $1, $2, party, leg, paise FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[])
  AS p (entry_id, party, leg, paise)
"""
_BOOKED = "INSERT INTO reconciliation.settlement_runs (run_no, part, chunks, booked_at) VALUES ($1, $2, $3, $4)"
# Served by results_by_run, statement_lines_pkey and partner_versions_pkey. Whoever was paid: a line that pays the wrong
# party is owed back by that.
_PAID_IN_RUN = """
WITH paid AS MATERIALIZED (
  SELECT l.payee, l.leg, sum(l.paise)::bigint AS paise, max(l.paid_at) AS paid_at
  FROM reconciliation.results r CROSS JOIN LATERAL (
    SELECT payee, leg, paise, paid_at FROM reconciliation.statement_lines
    WHERE statement_id = r.statement_id AND line = r.line LIMIT 1
  ) l
  WHERE r.run_no::bigint = $1 AND r.line IS NOT NULL AND r.chunk = ANY ($2::int[]) GROUP BY l.payee, l.leg
)
SELECT p.payee, p.leg, p.paise, p.paid_at, coalesce(v.city_code, '') AS city_code
FROM paid p LEFT JOIN LATERAL (
  SELECT city_code FROM reconciliation.partner_versions
  WHERE partner_id = CASE WHEN p.payee LIKE 'partner:%' THEN substr(p.payee, 9)::uuid END ORDER BY version DESC LIMIT 1
) v ON true
ORDER BY p.payee, p.leg
"""
# Served by settlement_payments_pkey and settlement_runs_pkey.
_PAYMENT = """
SELECT p.run_no, p.party, p.leg, p.paise, r.chunks FROM reconciliation.settlement_payments p
JOIN reconciliation.settlement_runs r ON r.run_no = p.run_no AND r.part = p.part WHERE p.entry_id = $1
"""
# Served by results_by_run and statement_lines_pkey: the lines that a payment is the sum of.
_LINES_OF = """
SELECT count(*)::integer AS lines_count, coalesce(sum(l.paise), 0)::bigint AS paise
FROM reconciliation.results r CROSS JOIN LATERAL (
  SELECT payee, leg, paise FROM reconciliation.statement_lines
  WHERE statement_id = r.statement_id AND line = r.line LIMIT 1
) l
WHERE r.run_no::bigint = $1 AND r.line IS NOT NULL AND r.chunk = ANY ($4::int[]) AND l.payee = $2 AND l.leg = $3
"""


@dataclass(frozen=True, slots=True)
class RunPart:
    """Chunks of a closed run that are booked together. `part` is -1, or the chunk's number of one that was left out."""

    run_no: int
    part: int
    chunks: list[int]


@dataclass(frozen=True, slots=True)
class PaidInRun:
    """What a run found that statements say was paid to a party, or handed in by it."""

    payee: str
    leg: str
    paise: int
    paid_at: datetime
    # Of a partner, where it works now.
    city_code: str


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """What an entry books of a run, and the lines that this is the sum of, added up again."""

    run_no: int
    leg: str
    paise: int
    lines_count: int
    lines_paise: int


async def next_part(connection: asyncpg.Connection) -> RunPart | None:
    """Return what is to be booked next: a chunk that was left out and is done, or the first run that is closed."""
    row = await connection.fetchrow(_NEXT_LEFT) or await connection.fetchrow(_NEXT_RUN)
    return RunPart(**row) if row else None


async def paid_in(connection: asyncpg.Connection, part: RunPart) -> list[PaidInRun]:
    """Return what the settled lines of a part say was paid, by party and leg."""
    return [PaidInRun(**row) for row in await connection.fetch(_PAID_IN_RUN, part.run_no, part.chunks)]


async def note_booked(
    connection: asyncpg.Connection, part: RunPart, paid: Sequence[tuple[UUID, PaidInRun]], now: datetime
) -> None:
    """Note that a part is booked, by which entries, and what of its run is left."""
    await connection.execute(_BOOKED, part.run_no, part.part, part.chunks, now)
    if paid:
        rows = [(entry_id, one.payee, one.leg, one.paise) for entry_id, one in paid]
        await connection.execute(_ADD_PAYMENTS, part.run_no, part.part, *map(list, zip(*rows, strict=True)))
    if part.part == WHOLE:
        await connection.execute(_LEAVE, part.run_no, part.chunks)
    else:
        await connection.execute(_LEFT_BOOKED, part.run_no, part.part)


async def payment_of(connection: asyncpg.Connection, entry_id: UUID) -> KnownPayment | None:
    """Return what an entry books of a run, or None."""
    row = await connection.fetchrow(_PAYMENT, entry_id)
    if row is None:
        return None
    found = await connection.fetchrow(_LINES_OF, row["run_no"], row["party"], row["leg"], row["chunks"])
    return KnownPayment(row["run_no"], row["leg"], row["paise"], found["lines_count"], found["paise"])

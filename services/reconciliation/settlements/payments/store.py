"""What runs found that was paid and handed in, in PostgreSQL: every statement of booking that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

# Served by runs_pkey and settlement_runs_pkey: runs are closed one after the other, and gain no result after that.
_NEXT = """
SELECT run_no FROM reconciliation.runs
WHERE run_no > (SELECT coalesce(max(run_no), 0) FROM reconciliation.settlement_runs) AND closed_at IS NOT NULL
ORDER BY run_no LIMIT 1
"""
_ADD_PAYMENTS = """
INSERT INTO reconciliation.settlement_payments (entry_id, run_no, party, leg, paise)
SELECT entry_id, $1, party, leg, paise FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[])
  AS p (entry_id, party, leg, paise)
"""
_BOOKED = "INSERT INTO reconciliation.settlement_runs (run_no, booked_at) VALUES ($1, $2)"
# Served by results_by_run, statement_lines_pkey and partner_versions_pkey. Whoever was paid: a line that pays the wrong
# party is owed back by that.
_PAID_IN_RUN = """
WITH paid AS MATERIALIZED (
  SELECT l.payee, l.leg, sum(l.paise)::bigint AS paise, max(l.paid_at) AS paid_at
  FROM reconciliation.results r CROSS JOIN LATERAL (
    SELECT payee, leg, paise, paid_at FROM reconciliation.statement_lines
    WHERE statement_id = r.statement_id AND line = r.line LIMIT 1
  ) l
  WHERE r.run_no::bigint = $1 AND r.line IS NOT NULL GROUP BY l.payee, l.leg
)
SELECT p.payee, p.leg, p.paise, p.paid_at, coalesce(v.city_code, '') AS city_code
FROM paid p LEFT JOIN LATERAL (
  SELECT city_code FROM reconciliation.partner_versions
  WHERE partner_id = CASE WHEN p.payee LIKE 'partner:%' THEN substr(p.payee, 9)::uuid END ORDER BY version DESC LIMIT 1
) v ON true
ORDER BY p.payee, p.leg
"""
# Served by settlement_payments_pkey.
_PAYMENT = "SELECT run_no, party, leg, paise FROM reconciliation.settlement_payments WHERE entry_id = $1"
# Served by results_by_run and statement_lines_pkey: the lines that a payment is the sum of.
_LINES_OF = """
SELECT count(*)::integer AS lines_count, coalesce(sum(l.paise), 0)::bigint AS paise
FROM reconciliation.results r CROSS JOIN LATERAL (
  SELECT payee, leg, paise FROM reconciliation.statement_lines
  WHERE statement_id = r.statement_id AND line = r.line LIMIT 1
) l
WHERE r.run_no::bigint = $1 AND r.line IS NOT NULL AND l.payee = $2 AND l.leg = $3
"""


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


async def next_run(connection: asyncpg.Connection) -> int | None:
    """Return the run that is to be booked next: the first that is closed and not booked."""
    run_no: int | None = await connection.fetchval(_NEXT)
    return run_no


async def paid_in(connection: asyncpg.Connection, run_no: int) -> list[PaidInRun]:
    """Return what the lines that a run has settled say was paid, by party and leg; of chunks that were given up too."""
    return [PaidInRun(**row) for row in await connection.fetch(_PAID_IN_RUN, run_no)]


async def note_booked(
    connection: asyncpg.Connection, run_no: int, paid: Sequence[tuple[UUID, PaidInRun]], now: datetime
) -> None:
    """Note that a run is booked, and by which entries."""
    await connection.execute(_BOOKED, run_no, now)
    if paid:
        rows = [(entry_id, one.payee, one.leg, one.paise) for entry_id, one in paid]
        await connection.execute(_ADD_PAYMENTS, run_no, *map(list, zip(*rows, strict=True)))


async def payment_of(connection: asyncpg.Connection, entry_id: UUID) -> KnownPayment | None:
    """Return what an entry books of a run, or None."""
    row = await connection.fetchrow(_PAYMENT, entry_id)
    if row is None:
        return None
    found = await connection.fetchrow(_LINES_OF, row["run_no"], row["party"], row["leg"])
    return KnownPayment(row["run_no"], row["leg"], row["paise"], found["lines_count"], found["paise"])

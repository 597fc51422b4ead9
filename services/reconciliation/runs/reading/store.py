"""What is asked of runs and of what they found: every statement of these queries."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.runs.run import Run

_RUN_COLUMNS = """
  run_no, tolerance_paise, tolerance_min, payout_due_min, chunks_count, entries_from, entries_until, as_of, opened_at,
  opened_by, last_confirmed_at, closed_at
"""
_DISCREPANCY_COLUMNS = """
  id, run_no, class AS kind, leg, delivery_id, statement_id, line, payee, expected_paise, paid_paise,
  evidence::text AS evidence, settled_run_no
"""
_RESULT_COLUMNS = "statement_id, line, delivery_id, leg, outcome, rule, expected_paise, paid_paise, run_no"
# Served by runs_pkey.
_GET = f"SELECT {_RUN_COLUMNS} FROM reconciliation.runs WHERE run_no = $1"  # noqa: S608 - a constant
# Served by runs_pkey, whose order is the list's.
_LIST = f"""
SELECT {_RUN_COLUMNS} FROM reconciliation.runs WHERE run_no < $1 ORDER BY run_no DESC LIMIT $2
"""  # noqa: S608 - a constant
# Served by run_chunks_pkey.
_CHUNKS = """
SELECT chunk, state, is_quarantined, attempts, coalesce(last_error, '') AS last_error
FROM reconciliation.run_chunks WHERE run_no = $1 ORDER BY chunk
"""
# Served by run_chunks_pkey.
_TALLIES = """
SELECT t.key, sum(t.value::bigint)::bigint AS total FROM reconciliation.run_chunks c
CROSS JOIN LATERAL jsonb_each_text(c.tallies) AS t (key, value) WHERE c.run_no = $1 GROUP BY t.key ORDER BY t.key
"""
# Served by discrepancies_by_run: of one class, or of each in turn.
_DISCREPANCIES = f"""
SELECT {_DISCREPANCY_COLUMNS} FROM reconciliation.discrepancies
WHERE run_no = $1 AND (class, id) > ($3, $4) AND ($2 = '' OR class = $2) ORDER BY class, id LIMIT $5
"""  # noqa: S608 - a constant
# Served by entry_once_for_delivery and postings_pkey.
_LEGS = """
SELECT leg, payee, paise, confirmed_at, entry_id, reversal_entry_id FROM reconciliation.legs
WHERE delivery_id = $1 ORDER BY leg
"""
# Served by leg_settled_once and results_of_further_lines.
_RESULTS = f"""
SELECT {_RESULT_COLUMNS}, is_settling, paid_by_statement_id, paid_by_line
FROM reconciliation.results WHERE delivery_id = $1 AND is_settling
UNION ALL
SELECT {_RESULT_COLUMNS}, is_settling, paid_by_statement_id, paid_by_line
FROM reconciliation.results WHERE delivery_id = $1 AND NOT is_settling
ORDER BY leg, is_settling DESC, statement_id, line
"""  # noqa: S608 - a constant
# Served by statement_lines_pkey.
_LINES = """
SELECT l.statement_id, l.line, l.leg, l.reference, l.delivery_id, l.payee, l.paise, l.paid_at
FROM unnest($1::uuid[], $2::int[]) AS w (statement_id, line)
JOIN reconciliation.statement_lines l ON l.statement_id = w.statement_id AND l.line = w.line
ORDER BY l.statement_id, l.line
"""
# Served by open_lines_by_delivery.
_OPEN_LINES = "SELECT statement_id, line FROM reconciliation.open_lines WHERE delivery_id = $1"
# Served by discrepancies_by_delivery.
_DISCREPANCIES_OF = f"""
SELECT {_DISCREPANCY_COLUMNS} FROM reconciliation.discrepancies WHERE delivery_id = $1 ORDER BY run_no, class, id
"""  # noqa: S608 - a constant
# Served by line_settled_once.
_RESULT_OF_LINE = f"""
SELECT {_RESULT_COLUMNS} FROM reconciliation.results WHERE statement_id = $1 AND line = $2
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class ChunkProgress:
    """How far a chunk is."""

    chunk: int
    state: str
    is_quarantined: bool
    attempts: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that does not agree."""

    id: UUID
    run_no: int
    kind: str
    leg: str
    delivery_id: UUID | None
    statement_id: UUID | None
    line: int | None
    payee: str
    expected_paise: int
    paid_paise: int
    evidence: str
    settled_run_no: int | None


@dataclass(frozen=True, slots=True)
class Leg:
    """What is owed for a delivery."""

    leg: str
    payee: str
    paise: int
    confirmed_at: datetime
    entry_id: UUID
    reversal_entry_id: UUID | None


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A line of a statement."""

    statement_id: UUID
    line: int
    leg: str
    reference: str
    delivery_id: UUID | None
    payee: str
    paise: int
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a line, of a leg, or of both together."""

    statement_id: UUID | None
    line: int | None
    delivery_id: UUID | None
    leg: str
    outcome: str
    rule: str
    expected_paise: int
    paid_paise: int
    run_no: int


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of a delivery."""

    legs: list[Leg]
    lines: list[StatementLine]
    results: list[Result]
    discrepancies: list[Discrepancy]


async def get(connection: asyncpg.Connection, run_no: int) -> Run | None:
    """Return one run, or None."""
    row = await connection.fetchrow(_GET, run_no)
    return Run(**row) if row else None


async def search(connection: asyncpg.Connection, before_no: int, rows_max: int) -> list[Run]:
    """Return runs, the youngest first."""
    return [Run(**row) for row in await connection.fetch(_LIST, before_no, rows_max)]


async def progress(connection: asyncpg.Connection, run_no: int) -> tuple[list[ChunkProgress], dict[str, int]]:
    """Return how far each chunk is, and what all have counted."""
    chunks = [ChunkProgress(**row) for row in await connection.fetch(_CHUNKS, run_no)]
    tallies = {row["key"]: row["total"] for row in await connection.fetch(_TALLIES, run_no)}
    return chunks, tallies


async def discrepancies(
    connection: asyncpg.Connection, run_no: int, kind: str, after: tuple[str, UUID], rows_max: int
) -> list[Discrepancy]:
    """Return a run's discrepancies by class and id, those after one; of one class, or of all for an empty one."""
    return [Discrepancy(**row) for row in await connection.fetch(_DISCREPANCIES, run_no, kind, *after, rows_max)]


async def of_delivery(connection: asyncpg.Connection, delivery_id: UUID) -> Explained:
    """Return all that is known of a delivery."""
    legs = [Leg(**row) for row in await connection.fetch(_LEGS, delivery_id)]
    rows = await connection.fetch(_RESULTS, delivery_id)
    named = [(row["paid_by_statement_id"] or row["statement_id"], row["paid_by_line"] or row["line"]) for row in rows]
    named += [(row["statement_id"], row["line"]) for row in await connection.fetch(_OPEN_LINES, delivery_id)]
    found = [Discrepancy(**row) for row in await connection.fetch(_DISCREPANCIES_OF, delivery_id)]
    return Explained(
        legs, await lines(connection, list(dict.fromkeys(named))), [_result_from(row) for row in rows], found
    )


async def lines(connection: asyncpg.Connection, named: list[tuple[UUID, int]]) -> list[StatementLine]:
    """Return lines by their statements and numbers."""
    if not named:
        return []
    rows = await connection.fetch(_LINES, *map(list, zip(*named, strict=True)))
    return [StatementLine(**row) for row in rows]


async def result_of_line(connection: asyncpg.Connection, statement_id: UUID, line: int) -> Result | None:
    """Return what became of a line, or None while it is open."""
    row = await connection.fetchrow(_RESULT_OF_LINE, statement_id, line)
    return _result_from(row) if row else None


def _result_from(row: asyncpg.Record) -> Result:
    names = Result.__dataclass_fields__
    return Result(**{name: row[name] for name in names})

"""Cases in PostgreSQL: every statement of the desk but for those that resolve and those of the audit trail."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.exceptions.ageing import Age, age_of, edges_s
from services.reconciliation.exceptions.case import Case
from services.reconciliation.exceptions.lifecycle import CaseState

# What a run has settled is resolved, whatever the desk was about to do.
_STATE = """
CASE WHEN d.settled_run_no IS NOT NULL AND NOT d.is_resolved THEN 'resolved' ELSE coalesce(c.state, 'open') END
"""
_CASE = f"""
SELECT d.id, d.run_no, d.class AS kind, d.leg, d.delivery_id, d.statement_id, d.line, d.payee, d.expected_paise,
  d.paid_paise, d.evidence::text AS evidence, d.settled_run_no, r.as_of AS found_at, {_STATE} AS state,
  coalesce(c.assignee, '') AS assignee, c.resolution_id
"""
_FROM_DISCREPANCIES = """
FROM reconciliation.discrepancies d JOIN reconciliation.runs r ON r.run_no = d.run_no
LEFT JOIN reconciliation.cases c ON c.case_id = d.id
"""
# Served by discrepancies_pkey. In one order, so that no two commands wait for each other.
_LOCK = "SELECT id FROM reconciliation.discrepancies WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE"
# Served by discrepancies_pkey, runs_pkey and cases_pkey.
_GET = f"{_CASE}{_FROM_DISCREPANCIES} WHERE d.id = ANY ($1::uuid[]) ORDER BY d.id"
# Served by cases_by_resolution, discrepancies_pkey and runs_pkey.
_OF_RESOLUTION = f"{_CASE}{_FROM_DISCREPANCIES} WHERE c.resolution_id = $1 ORDER BY d.id"
_FILTERS = f"""
d.settled_run_no IS NULL AND NOT d.is_resolved AND (d.run_no, d.id) > ($1, $2) AND ($3 = '' OR d.class = $3)
  AND ($4 = '' OR {_STATE} = $4) AND r.as_of <= $5 AND r.as_of > $6
ORDER BY d.run_no, d.id LIMIT $7
"""
# Served by discrepancies_unresolved, whose order is the list's: the oldest first.
_LIST = f"{_CASE}{_FROM_DISCREPANCIES} WHERE {_FILTERS}"
# Served by cases_by_assignee.
_LIST_ASSIGNED = f"""
{_CASE}
FROM reconciliation.cases c JOIN reconciliation.discrepancies d ON d.id = c.case_id
JOIN reconciliation.runs r ON r.run_no = d.run_no
WHERE c.assignee = $8 AND c.state <> 'resolved' AND {_FILTERS}
"""
# Served by cases_pkey.
_SAVE = """
INSERT INTO reconciliation.cases (case_id, state, assignee, resolution_id, audited_sequence)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[])
ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, assignee = excluded.assignee,
  resolution_id = excluded.resolution_id, audited_sequence = excluded.audited_sequence
"""
# Served by cases_pkey.
_NOTE = """
INSERT INTO reconciliation.cases (case_id, state, assignee, audited_sequence)
SELECT case_id, 'open', '', sequence FROM unnest($1::uuid[], $2::bigint[]) AS n (case_id, sequence)
ON CONFLICT (case_id) DO UPDATE SET audited_sequence = excluded.audited_sequence
"""
# Served by discrepancies_unresolved alone, and runs_pkey.
_AGES = """
SELECT d.class AS kind, width_bucket(extract(epoch FROM $1 - r.as_of)::float8, $2::float8[]) AS place,
  count(*) AS cases, sum(CASE d.class WHEN 'wrong_partner' THEN d.paid_paise
    ELSE abs(d.paid_paise - d.expected_paise) END)::bigint AS paise
FROM reconciliation.discrepancies d JOIN reconciliation.runs r ON r.run_no = d.run_no
WHERE d.settled_run_no IS NULL AND NOT d.is_resolved GROUP BY kind, place ORDER BY kind, place
"""
# Served by cases_by_assignee and discrepancies_pkey: cases that the desk was at, of what runs have settled meanwhile.
# Each is looked up: whatever is guessed of how many these are, discrepancies are too many to be read.
_SETTLED = """
SELECT c.case_id, d.settled_run_no FROM reconciliation.cases c CROSS JOIN LATERAL (
  SELECT settled_run_no FROM reconciliation.discrepancies WHERE id = c.case_id AND settled_run_no IS NOT NULL LIMIT 1
) d
WHERE c.state <> 'resolved' ORDER BY c.case_id FOR UPDATE OF c
"""
# Served by cases_pkey.
_SETTLE = """
UPDATE reconciliation.cases c SET state = 'resolved', resolution_id = NULL, audited_sequence = s.sequence
FROM unnest($1::uuid[], $2::bigint[]) AS s (case_id, sequence) WHERE c.case_id = s.case_id
"""


async def lock(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    """Keep cases as they are until the end of the transaction; also runs wait that would settle them."""
    await connection.execute(_LOCK, list(case_ids))


async def get(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> list[Case]:
    """Return those of the cases that there are, by their ids."""
    return [_case_from(row) for row in await connection.fetch(_GET, list(case_ids))]


async def of_resolution(connection: asyncpg.Connection, resolution_id: UUID) -> list[Case]:
    """Return the cases that a resolution is about, or is proposed for."""
    return [_case_from(row) for row in await connection.fetch(_OF_RESOLUTION, resolution_id)]


async def search(
    connection: asyncpg.Connection,
    after: tuple[int, UUID],
    wanted: tuple[str, str, str],
    found: tuple[datetime, datetime],
    rows_max: int,
) -> list[Case]:
    """Return what is not resolved, the oldest first: of a class, a state and an assignee, each of any for an empty one.

    `found` is from when until when, exclusively, the runs were that found it; youngest first.
    """
    kind, state, assignee = wanted
    values = (*after, kind, state, *found, rows_max)
    if assignee:
        rows = await connection.fetch(_LIST_ASSIGNED, *values, assignee)
    else:
        rows = await connection.fetch(_LIST, *values)
    return [_case_from(row) for row in rows]


async def save(connection: asyncpg.Connection, cases: Sequence[Case], sequences: Sequence[int]) -> None:
    """Store how far the desk is with cases, and which rows of the audit trail say so."""
    rows = [
        (case.id, case.state.value, case.assignee, case.resolution_id, sequence)
        for case, sequence in zip(cases, sequences, strict=True)
    ]
    await connection.execute(_SAVE, *map(list, zip(*rows, strict=True)))


async def note(connection: asyncpg.Connection, case_ids: Sequence[UUID], sequences: Sequence[int]) -> None:
    """Store which rows of the audit trail are the last about cases, of which nothing else changes."""
    await connection.execute(_NOTE, list(case_ids), list(sequences))


async def ages(connection: asyncpg.Connection, now: datetime, days: Sequence[int]) -> list[Age]:
    """Return how many cases of each class are how old, and what is at stake in them."""
    rows = await connection.fetch(_AGES, now, [float(edge) for edge in edges_s(days)])
    return [age_of(days, row["place"], row["kind"], row["cases"], row["paise"]) for row in rows]


async def settled(connection: asyncpg.Connection) -> dict[UUID, int]:
    """Lock and return the cases that the desk was at, of what runs have settled, with the runs."""
    return {row["case_id"]: row["settled_run_no"] for row in await connection.fetch(_SETTLED)}


async def settle(connection: asyncpg.Connection, case_ids: Sequence[UUID], sequences: Sequence[int]) -> None:
    """Resolve cases that a run has settled, and note which rows of the audit trail say so."""
    await connection.execute(_SETTLE, list(case_ids), list(sequences))


def _case_from(row: asyncpg.Record) -> Case:
    return Case(**{**dict(row), "state": CaseState(row["state"])})

"""Collecting and matching in PostgreSQL: every statement of the first four states. Each is one chunk's."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.reconciliation.runs.store import Held

# Served by entries_pkey.
_COUNT_ENTRIES = """
SELECT count(*) AS entries, max(occurred_at) AS last_confirmed_at
FROM reconciliation.entries WHERE id >= $1 AND id < $2 AND kind = 'earnings'
"""
# Served by run_statements_by_run and statement_lines_by_delivery.
_COUNT_LINES = """
SELECT count(*) AS lines, coalesce(sum(l.paise), 0)::bigint AS paise
FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
WHERE s.run_no = $1 AND l.delivery_id BETWEEN $2 AND $3
"""
# Served by run_statements_by_run and statement_lines_by_delivery.
_COUNT_NAMELESS = """
SELECT count(*) AS lines, coalesce(sum(l.paise), 0)::bigint AS paise
FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
WHERE s.run_no = $1 AND l.delivery_id IS NULL
"""
# Served by entries_pkey, postings_pkey and reversals. An entry that is looked at again is there already.
_ADD_LEGS = """
WITH undone AS MATERIALIZED (
  SELECT id, delivery_id FROM reconciliation.entries WHERE kind = 'reversal' AND id >= $4 AND id < $5
)
INSERT INTO reconciliation.legs (delivery_id, leg, payee, paise, confirmed_at, entry_id, run_no, reversal_entry_id,
  reversed_run_no)
SELECT e.delivery_id, CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END,
  CASE p.purpose WHEN 'earnings' THEN p.account ELSE 'partner:' || e.partner_id END, abs(p.paise), e.occurred_at, e.id,
  $1::integer, u.id, CASE WHEN u.id IS NOT NULL THEN $1::integer END
FROM reconciliation.entries e
JOIN reconciliation.postings p ON p.entry_id = e.id
  AND ((p.purpose = 'earnings' AND p.paise < 0 AND p.account ~ '^(partner|network):')
    OR (p.purpose = 'cash_collected' AND p.paise > 0 AND p.account LIKE 'cash:%'))
LEFT JOIN undone u ON u.delivery_id = e.delivery_id
WHERE e.id >= $2 AND e.id < $3 AND e.kind = 'earnings'
ORDER BY e.delivery_id, p.purpose
ON CONFLICT (delivery_id, leg) DO NOTHING
"""
# Served by reversals, legs_pkey and leg_settled_once. What was settled before and is undone now is to be adjusted.
_UNDO_LEGS = """
WITH undone AS (
  UPDATE reconciliation.legs g SET reversal_entry_id = e.id, reversed_run_no = $1::integer
  FROM reconciliation.entries e
  WHERE e.kind = 'reversal' AND e.id >= $2 AND e.id < $3 AND g.delivery_id = e.delivery_id AND g.run_no < $1
    AND g.reversal_entry_id IS NULL
  RETURNING g.delivery_id, g.leg, g.payee, g.paise, g.confirmed_at
)
INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key, outcome)
SELECT u.delivery_id, u.leg, u.payee, u.paise, u.confirmed_at, reconciliation.bucket_key(u.payee), 'late_adjustment'
FROM undone u
JOIN reconciliation.results r ON r.delivery_id = u.delivery_id AND r.leg = u.leg AND r.is_settling AND r.run_no < $1
ON CONFLICT (delivery_id, leg) DO NOTHING
"""
# Served by run_statements_by_run, statement_lines_by_delivery, open_lines_by_delivery and legs_pkey. Of several lines
# the one that was paid first settles the leg; the constraint has none settle it that is settled.
_MATCH_EXACT = """
WITH lines AS (
  SELECT l.statement_id, l.line, l.leg, l.delivery_id, l.payee, l.paise, l.paid_at
  FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
  WHERE s.run_no = $1 AND l.delivery_id BETWEEN $3 AND $4
  UNION ALL
  SELECT o.statement_id, o.line, o.leg, o.delivery_id, o.payee, o.paise, o.paid_at
  FROM reconciliation.open_lines o WHERE o.delivery_id BETWEEN $3 AND $4
)
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk)
SELECT DISTINCT ON (l.delivery_id, l.leg) l.statement_id, l.line, l.delivery_id, l.leg, 'matched', 'exact', true,
  g.paise, l.paise, $1::integer, $2::integer
FROM lines l
JOIN reconciliation.legs g ON g.delivery_id = l.delivery_id AND g.leg = l.leg AND g.payee = l.payee
  AND g.paise = l.paise AND g.reversal_entry_id IS NULL
ORDER BY l.delivery_id, l.leg, l.paid_at, l.statement_id, l.line
ON CONFLICT DO NOTHING
"""
# Served by run_statements_by_run, statement_lines_by_delivery, line_settled_once and legs_pkey.
_OPEN_LINES = """
INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at,
  bucket_key)
SELECT l.statement_id, l.line, l.leg, l.reference, l.delivery_id, l.payee, l.paise, l.paid_at,
  reconciliation.bucket_key(coalesce(g.payee, l.payee))
FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
LEFT JOIN reconciliation.results r ON r.statement_id = l.statement_id AND r.line = l.line
LEFT JOIN reconciliation.legs g ON g.delivery_id = l.delivery_id AND g.leg = l.leg
WHERE s.run_no = $1 AND l.delivery_id BETWEEN $2 AND $3 AND r.line IS NULL
ON CONFLICT (statement_id, line) DO NOTHING
"""
# Served by run_statements_by_run and statement_lines_by_delivery.
_OPEN_NAMELESS = """
INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at,
  bucket_key)
SELECT l.statement_id, l.line, l.leg, l.reference, NULL, l.payee, l.paise, l.paid_at,
  reconciliation.bucket_key(l.payee)
FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
WHERE s.run_no = $1 AND l.delivery_id IS NULL
ON CONFLICT (statement_id, line) DO NOTHING
"""
# Served by open_lines_by_delivery and legs_pkey: lines of earlier runs whose delivery is known by now.
_MOVE_LINES = """
UPDATE reconciliation.open_lines o SET bucket_key = reconciliation.bucket_key(g.payee)
FROM reconciliation.legs g
WHERE o.delivery_id BETWEEN $1 AND $2 AND g.delivery_id = o.delivery_id AND g.leg = o.leg
  AND o.bucket_key <> reconciliation.bucket_key(g.payee)
"""
# Served by legs_by_run and leg_settled_once.
_OPEN_LEGS = """
INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key)
SELECT g.delivery_id, g.leg, g.payee, g.paise, g.confirmed_at, reconciliation.bucket_key(g.payee)
FROM reconciliation.legs g
LEFT JOIN reconciliation.results r ON r.delivery_id = g.delivery_id AND r.leg = g.leg AND r.is_settling
WHERE g.run_no = $1 AND g.delivery_id BETWEEN $2 AND $3 AND g.reversal_entry_id IS NULL AND r.delivery_id IS NULL
ON CONFLICT (delivery_id, leg) DO NOTHING
"""
# Served by open_lines_by_delivery and line_settled_once.
_SETTLE_LINES_IN_RANGE = """
DELETE FROM reconciliation.open_lines o USING reconciliation.results r
WHERE o.delivery_id BETWEEN $1 AND $2 AND r.statement_id = o.statement_id AND r.line = o.line
"""
# Served by open_legs_pkey and leg_settled_once.
_SETTLE_LEGS_IN_RANGE = """
DELETE FROM reconciliation.open_legs o USING reconciliation.results r
WHERE o.delivery_id BETWEEN $2 AND $3 AND r.delivery_id = o.delivery_id AND r.leg = o.leg AND r.is_settling
  AND r.run_no = $1
"""


async def collect(connection: asyncpg.Connection, held: Held) -> tuple[dict[str, int], datetime | None]:
    """Return what the chunk has to account for, and its last hand-over."""
    chunk = held.chunk
    entries = await connection.fetchrow(_COUNT_ENTRIES, chunk.entries_from, chunk.entries_until)
    lines = await connection.fetchrow(_COUNT_LINES, held.run_no, chunk.delivery_from, chunk.delivery_to)
    tallies = {"entries": entries["entries"], "lines": lines["lines"], "lines_paise": lines["paise"]}
    if chunk.chunk == 0:
        nameless = await connection.fetchrow(_COUNT_NAMELESS, held.run_no)
        tallies["lines"] += nameless["lines"]
        tallies["lines_paise"] += nameless["paise"]
    return tallies, entries["last_confirmed_at"]


async def normalize(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Make legs of the chunk's entries, and mark those of earlier runs that its reversals undo."""
    chunk = held.chunk
    window = (held.run_no, chunk.entries_from, chunk.entries_until)
    added = await connection.execute(_ADD_LEGS, *window, held.run_from, held.run_until)
    await connection.execute(_UNDO_LEGS, *window)
    return {"legs": _count(added)}


async def match_exact(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Settle what has the same delivery, payee and amount; set the rest aside, by whom it pays."""
    chunk = held.chunk
    deliveries = (chunk.delivery_from, chunk.delivery_to)
    matched = await connection.execute(_MATCH_EXACT, held.run_no, chunk.chunk, *deliveries)
    await set_aside(connection, held.run_no, chunk.chunk, deliveries)
    await connection.execute(_MOVE_LINES, *deliveries)
    await connection.execute(_SETTLE_LINES_IN_RANGE, *deliveries)
    await connection.execute(_SETTLE_LEGS_IN_RANGE, held.run_no, *deliveries)
    return {"exact": _count(matched)}


async def set_aside(connection: asyncpg.Connection, run_no: int, chunk: int, deliveries: Sequence[object]) -> None:
    """Keep the lines and legs of a range of deliveries that are not settled, for this run and the next."""
    await connection.execute(_OPEN_LINES, run_no, *deliveries)
    if chunk == 0:
        await connection.execute(_OPEN_NAMELESS, run_no)
    await connection.execute(_OPEN_LEGS, run_no, *deliveries)


def _count(tag: str) -> int:
    """Return how many rows a command was for, from its tag: INSERT 0 5."""
    return int(tag.rpartition(" ")[2])

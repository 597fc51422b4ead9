"""Collecting and matching in PostgreSQL: every statement of the first four states. Each is one chunk's."""

import asyncpg

from services.reconciliation.runs.rules import Chunk
from services.reconciliation.runs.run import Collected, Held

# As many entries as are a chunk's, times this, may lie from its first to its last for their postings to be read in one
# go: what is read for nothing takes longer, from about there on, than looking each up.
_AMONG_MAX = 2
# Served by entry_once_for_delivery or entries_pkey, whichever is narrower for the chunk.
_ENTRIES = """
SELECT count(*) AS entries, max(occurred_at) AS last_confirmed_at, min(id::text)::uuid AS first,
  max(id::text)::uuid AS last
FROM reconciliation.entries
WHERE delivery_id BETWEEN $1 AND $2 AND id >= $3 AND id < $4 AND kind = 'earnings'
"""
# Served by entries_pkey, in whose order it reads no more than it is told.
_BETWEEN = """
SELECT count(*) FROM (SELECT FROM reconciliation.entries WHERE id BETWEEN $1 AND $2 LIMIT $3) e
"""
# Served by reversals, entry_once_for_delivery, postings_pkey and leg_settled_once: what earlier runs have settled and
# is undone since, to be adjusted. The earlier run may have seen the reversal too, and what another was paid the payee
# has not got: both are cases already.
_ADJUST = """
INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key, outcome)
SELECT g.delivery_id, g.leg, g.payee, g.paise, g.confirmed_at, reconciliation.bucket_key(g.payee), 'late_adjustment'
FROM reconciliation.entries e
JOIN reconciliation.legs g ON g.delivery_id = e.delivery_id AND g.entry_id < $4
JOIN reconciliation.results r ON r.delivery_id = g.delivery_id AND r.leg = g.leg AND r.is_settling AND r.run_no < $1
  AND r.outcome NOT IN ('cancelled_after_export', 'wrong_partner')
WHERE e.kind = 'reversal' AND e.id >= $2 AND e.id < $3
ON CONFLICT (delivery_id, leg) DO NOTHING
"""
# Served by reversals and open_legs_pkey: what was never paid and is undone is owed no more.
_FORGET_UNDONE = """
DELETE FROM reconciliation.open_legs o USING reconciliation.entries e
WHERE e.kind = 'reversal' AND e.id >= $1 AND e.id < $2 AND o.delivery_id = e.delivery_id
  AND o.outcome IS DISTINCT FROM 'late_adjustment'
"""
# Which postings say what is owed, and to whom: as in `legs`.
_OWED = "((purpose = 'earnings' AND paise < 0) OR (purpose = 'cash_collected' AND paise > 0))"
# How rows meet is written so that it does not depend on how many of them are expected, which is one where all are newer
# than the table's statistics: rows in thousands meet by a full join, which is never a loop in a loop, or are looked up
# in a hash, which PostgreSQL makes of what it expects to fit into twice work_mem; and single rows by a key (OFFSET 0).
_FRESH = """
undone AS MATERIALIZED (
  SELECT delivery_id FROM reconciliation.entries WHERE kind = 'reversal' AND id >= $5 AND id < $6
), fresh AS (
  SELECT e.delivery_id, CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END AS leg,
    CASE p.purpose WHEN 'earnings' THEN p.account ELSE 'partner:' || e.partner_id END AS payee, abs(p.paise) AS paise,
    e.occurred_at AS confirmed_at
  FROM (SELECT e.id, e.delivery_id, e.partner_id, e.occurred_at FROM reconciliation.entries e
    WHERE e.delivery_id BETWEEN $3 AND $4 AND e.kind = 'earnings'
      AND e.delivery_id NOT IN (SELECT delivery_id FROM undone)
"""
_EACH_BY_ITSELF = f"""
      AND e.id >= $5 AND e.id < $6) e
  JOIN reconciliation.postings p ON p.entry_id = e.id AND {_OWED}
  WHERE true
"""
_IN_ONE_GO = f"""
      AND e.id BETWEEN $8 AND $9 AND e.id < $6) e
  FULL JOIN (SELECT entry_id, purpose, account, paise FROM reconciliation.postings
    WHERE entry_id BETWEEN $8 AND $9 AND {_OWED}) p ON p.entry_id = e.id
  WHERE num_nonnulls(e.id, p.entry_id) = 2
"""  # noqa: S608 - constants
_MATCHED = """
    AND (e.id >= $7 OR NOT EXISTS (SELECT FROM reconciliation.results r
        WHERE r.delivery_id = e.delivery_id AND r.is_settling
          AND r.leg = CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END)
      AND NOT EXISTS (SELECT FROM reconciliation.open_legs o
        WHERE o.delivery_id = e.delivery_id AND o.leg = CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END))
), owed AS (
  SELECT delivery_id, leg, payee, paise, confirmed_at, true AS is_fresh FROM fresh
  UNION ALL
  SELECT o.delivery_id, o.leg, o.payee, o.paise, o.confirmed_at, false FROM reconciliation.open_legs o
  WHERE o.delivery_id BETWEEN $3 AND $4 AND o.outcome IS DISTINCT FROM 'late_adjustment'
), lines AS (
  SELECT l.statement_id, l.line, l.leg, l.delivery_id, l.payee, l.paise, l.paid_at, true AS is_new
  FROM reconciliation.statement_lines l
  WHERE l.statement_id = ANY (ARRAY(SELECT s.statement_id FROM reconciliation.run_statements s WHERE s.run_no = $1))
    AND l.delivery_id BETWEEN $3 AND $4
  UNION ALL
  SELECT o.statement_id, o.line, o.leg, o.delivery_id, o.payee, o.paise, o.paid_at, false
  FROM reconciliation.open_lines o WHERE o.delivery_id BETWEEN $3 AND $4
), compared AS (
  SELECT l.statement_id, l.line, coalesce(l.leg, g.leg) AS leg, coalesce(l.delivery_id, g.delivery_id) AS delivery_id,
    l.paise, l.paid_at, coalesce(l.is_new, false) AS is_new,
    coalesce(g.payee = l.payee AND g.paise = l.paise, false) AS is_same,
    g.payee AS owed_to, g.paise AS owed_paise, g.confirmed_at, coalesce(g.is_fresh, false) AS is_fresh
  FROM lines l FULL JOIN owed g ON g.delivery_id = l.delivery_id AND g.leg = l.leg
), ranked AS (
  SELECT *, row_number() OVER (PARTITION BY delivery_id, leg
    ORDER BY is_same DESC, paid_at, statement_id, line) = 1 AS is_first
  FROM compared
), placed AS MATERIALIZED (
  SELECT statement_id, line, leg, delivery_id, paise, is_new, is_first AND is_same AS is_settling,
    is_first AND is_fresh AS is_leg, owed_to, owed_paise, confirmed_at
  FROM ranked
), settled AS (
  INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling,
    expected_paise, paid_paise, run_no, chunk)
  SELECT statement_id, line, delivery_id, leg, 'matched', 'exact', true, paise, paise, $1::integer, $2::integer
  FROM placed WHERE is_settling
), opened AS (
  INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at,
    bucket_key)
  SELECT l.statement_id, l.line, l.leg, l.reference, l.delivery_id, l.payee, l.paise, l.paid_at,
    reconciliation.bucket_key(coalesce((SELECT g.payee FROM reconciliation.legs g
      WHERE g.delivery_id = l.delivery_id AND g.leg = l.leg AND g.entry_id < $6), l.payee))
  FROM placed CROSS JOIN LATERAL (SELECT * FROM reconciliation.statement_lines l
    WHERE l.statement_id = placed.statement_id AND l.line = placed.line OFFSET 0) l
  WHERE placed.is_new AND NOT placed.is_settling
), opened_legs AS (
  INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key)
  SELECT delivery_id, leg, owed_to, owed_paise, confirmed_at, reconciliation.bucket_key(owed_to)
  FROM placed WHERE is_leg AND NOT is_settling
)
SELECT count(*) FILTER (WHERE is_settling) AS exact, count(*) FILTER (WHERE is_leg) AS legs,
  count(*) FILTER (WHERE is_new) AS lines, coalesce(sum(paise) FILTER (WHERE is_new), 0)::bigint AS lines_paise
FROM placed
"""
# Served by run_statements_by_run, statement_lines_by_delivery, open_lines_by_delivery and statement_lines_pkey; by
# entry_once_for_delivery or entries_pkey; by reversals, postings_pkey, open_legs_pkey and leg_settled_once. Of several
# lines the one that was paid first settles the leg. What is new and not settled is opened, with whom it is to be looked
# for. Of entries that an earlier run has looked at, those legs count that it did not see. Where a chunk's entries are
# among themselves, their postings are read in one go: half of the time that it takes to look each up.
_MATCH_EXACT = f"WITH {_FRESH}{_IN_ONE_GO}{_MATCHED}"
_MATCH_EXACT_SCATTERED = f"WITH {_FRESH}{_EACH_BY_ITSELF}{_MATCHED}"
# Served by run_statements_by_run, statement_lines_by_delivery, entry_once_for_delivery and postings_pkey: of a range
# that could not be matched.
_OPEN_LINES = """
INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at,
  bucket_key)
SELECT l.statement_id, l.line, l.leg, l.reference, l.delivery_id, l.payee, l.paise, l.paid_at,
  reconciliation.bucket_key(coalesce(g.payee, l.payee))
FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
LEFT JOIN reconciliation.legs g ON g.delivery_id = l.delivery_id AND g.leg = l.leg
WHERE s.run_no = $1 AND l.delivery_id BETWEEN $2 AND $3
"""
# Served by run_statements_by_run and statement_lines_by_delivery.
_OPEN_NAMELESS = """
WITH opened AS (
  INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at,
    bucket_key)
  SELECT l.statement_id, l.line, l.leg, l.reference, NULL, l.payee, l.paise, l.paid_at,
    reconciliation.bucket_key(l.payee)
  FROM reconciliation.run_statements s JOIN reconciliation.statement_lines l ON l.statement_id = s.statement_id
  WHERE s.run_no = $1 AND l.delivery_id IS NULL
  RETURNING paise
)
SELECT count(*) AS lines, coalesce(sum(paise), 0)::bigint AS paise FROM opened
"""
# Served by open_lines_by_delivery, entry_once_for_delivery and postings_pkey: lines of earlier runs whose delivery is
# known by now.
_MOVE_LINES = """
UPDATE reconciliation.open_lines o SET bucket_key = reconciliation.bucket_key(g.payee)
FROM reconciliation.legs g
WHERE o.delivery_id BETWEEN $1 AND $2 AND g.delivery_id = o.delivery_id AND g.leg = o.leg AND g.entry_id < $3
  AND o.bucket_key <> reconciliation.bucket_key(g.payee)
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


async def collect(connection: asyncpg.Connection, held: Held) -> tuple[dict[str, int], Collected]:
    """Return what the chunk's entries are, and which deliveries they are of."""
    chunk = held.chunk
    deliveries = (chunk.delivery_from, chunk.delivery_to)
    row = await connection.fetchrow(_ENTRIES, *deliveries, held.run_from, held.run_until)
    # Of no entries, an empty range.
    spread = (row["first"] or held.run_until, row["last"] or held.run_until)
    return {"entries": row["entries"]}, Collected(*spread, row["last_confirmed_at"])


async def normalize(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Note what the chunk's reversals undo, and to whom lines belong that earlier runs have left open."""
    chunk = held.chunk
    window = (chunk.entries_from, chunk.entries_until)
    await connection.execute(_FORGET_UNDONE, *window)
    adjusted = await connection.execute(_ADJUST, held.run_no, *window, held.run_until)
    await connection.execute(_MOVE_LINES, chunk.delivery_from, chunk.delivery_to, held.run_until)
    return {"adjusted": _count(adjusted)}


async def match_exact(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Settle what has the same delivery, payee and amount; open the rest, for those who look by whom it pays."""
    chunk = held.chunk
    deliveries = (chunk.delivery_from, chunk.delivery_to)
    spread, among_max = (held.collected_from, held.collected_to), _AMONG_MAX * held.entries
    is_among = await connection.fetchval(_BETWEEN, *spread, among_max + 1) <= among_max
    about = (held.run_no, chunk.chunk, *deliveries, held.run_from, held.run_until, held.new_from)
    if is_among:
        found = await connection.fetchrow(_MATCH_EXACT, *about, *spread)
    else:
        found = await connection.fetchrow(_MATCH_EXACT_SCATTERED, *about)
    tallies = {name: int(found[name]) for name in ("exact", "legs", "lines", "lines_paise")}
    if chunk.chunk == 0:
        nameless = await connection.fetchrow(_OPEN_NAMELESS, held.run_no)
        tallies["lines"] += nameless["lines"]
        tallies["lines_paise"] += nameless["paise"]
    await connection.execute(_SETTLE_LINES_IN_RANGE, *deliveries)
    await connection.execute(_SETTLE_LEGS_IN_RANGE, held.run_no, *deliveries)
    return tallies


async def set_aside(connection: asyncpg.Connection, run_no: int, chunk: Chunk) -> None:
    """Open the lines of a chunk that could not be matched, for the next run, which looks at its entries again."""
    await connection.execute(_OPEN_LINES, run_no, chunk.delivery_from, chunk.delivery_to)
    if chunk.chunk == 0:
        await connection.execute(_OPEN_NAMELESS, run_no)


def _count(tag: str) -> int:
    """Return how many rows a command was for, from its tag: INSERT 0 5."""
    return int(tag.rpartition(" ")[2])

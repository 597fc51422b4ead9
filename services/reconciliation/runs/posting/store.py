"""Discrepancies in PostgreSQL: each is written once, with what it is concluded from."""

from collections import Counter

import asyncpg

from services.reconciliation.runs.run import Held

# Served by results_to_explain, statement_lines_pkey, entry_once_for_delivery, postings_pkey, leg_settled_once and
# results_of_further_lines: of each result that is no match. A chunk that is taken again after its run was closed may
# come after a later run has seen what was left of a leg: of further lines that one alone expects anything.
_OF_RESULTS = """
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, statement_id, line, payee,
  expected_paise, paid_paise, evidence, bucket_key, settled_run_no)
SELECT reconciliation.id_of(r.outcome, r.statement_id::text, r.line::text),
  $1::integer, r.outcome, r.leg, r.delivery_id,
  r.statement_id, r.line, l.payee, r.expected_paise, r.paid_paise,
  jsonb_build_object(
    'reference', l.reference, 'paid_at', l.paid_at, 'paid_to', l.payee, 'paid_paise', l.paise, 'owed_to', g.payee,
    'owed_paise', g.paise, 'confirmed_at', g.confirmed_at, 'entry_id', g.entry_id,
    'reversal_entry_id', CASE WHEN g.reversal_entry_id < $4 THEN g.reversal_entry_id END,
    'settled_by_statement_id', s.statement_id, 'settled_by_line', s.line,
    'tolerance_paise', $3::bigint),
  reconciliation.bucket_key(g.payee),
  CASE WHEN r.outcome IN ('underpaid', 'cash_mismatch') THEN (SELECT min(f.run_no) FROM reconciliation.results f
    WHERE f.delivery_id = r.delivery_id AND NOT f.is_settling AND f.leg = r.leg AND f.expected_paise > 0
      AND f.run_no > r.run_no) END
FROM reconciliation.results r
JOIN reconciliation.statement_lines l ON l.statement_id = r.statement_id AND l.line = r.line
JOIN reconciliation.legs g ON g.delivery_id = r.delivery_id AND g.leg = r.leg
LEFT JOIN reconciliation.results s ON s.delivery_id = r.delivery_id AND s.leg = r.leg AND s.is_settling
WHERE r.run_no = $1 AND r.chunk = $2 AND r.outcome <> 'matched'
ON CONFLICT (id) DO NOTHING RETURNING class
"""
# Served by open_lines_by_bucket.
_OF_LINES = """
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, statement_id, line, payee,
  expected_paise, paid_paise, evidence, bucket_key)
SELECT reconciliation.id_of(l.outcome, l.statement_id::text, l.line::text),
  $1::integer, l.outcome, l.leg, l.delivery_id,
  l.statement_id, l.line, l.payee, 0, l.paise,
  jsonb_build_object('reference', l.reference, 'paid_at', l.paid_at, 'paid_to', l.payee, 'paid_paise', l.paise),
  l.bucket_key
FROM reconciliation.open_lines l WHERE l.bucket_key >= $2 AND l.bucket_key < $3 AND l.outcome IS NOT NULL
ON CONFLICT (id) DO NOTHING RETURNING class
"""
# Served by open_legs_by_bucket, entry_once_for_delivery, postings_pkey, leg_settled_once, results_of_further_lines,
# discrepancies_by_delivery, cases_pkey, resolutions_pkey and cases_by_resolution. What was settled before it was undone
# names that, counts all parts in which it was paid, and what of it the desk has written off in all: nobody has got
# that. The rest of a match is of its leg, where it has one alone.
_OF_LEGS = """
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, payee, expected_paise, paid_paise,
  evidence, bucket_key)
SELECT reconciliation.id_of(o.outcome, o.delivery_id::text, o.leg),
  $1::integer, o.outcome, o.leg, o.delivery_id, o.payee,
  CASE o.outcome WHEN 'late_adjustment' THEN 0 ELSE o.paise END,
  coalesce(s.paid_paise + coalesce((SELECT sum(f.paid_paise) FROM reconciliation.results f
    WHERE f.delivery_id = o.delivery_id AND NOT f.is_settling AND f.leg = o.leg
      AND f.outcome IN ('matched', 'underpaid', 'overpaid', 'cash_mismatch')), 0), 0),
  jsonb_build_object('owed_to', g.payee, 'owed_paise', g.paise, 'confirmed_at', g.confirmed_at,
    'entry_id', g.entry_id, 'reversal_entry_id', CASE WHEN g.reversal_entry_id < $5 THEN g.reversal_entry_id END,
    'settled_by_statement_id', s.statement_id,
    'settled_by_line', s.line, 'payout_due_min', $4::integer)
  || CASE o.outcome WHEN 'late_adjustment' THEN jsonb_build_object('written_off_paise', (
    SELECT greatest(0, coalesce(sum(g.paise), 0))::bigint FROM (
      SELECT CASE n.kind WHEN 'write_off' THEN sum(d.expected_paise - d.paid_paise) ELSE (
        SELECT CASE count(DISTINCT (m.delivery_id, m.leg)) FILTER (WHERE m.class <> 'unknown_delivery')
          WHEN 1 THEN sum(m.expected_paise - m.paid_paise) END
        FROM reconciliation.cases k JOIN reconciliation.discrepancies m ON m.id = k.case_id
        WHERE k.resolution_id = n.id) END AS paise
      FROM reconciliation.discrepancies d
      JOIN reconciliation.cases c ON c.case_id = d.id
      JOIN reconciliation.resolutions n ON n.id = c.resolution_id AND n.outcome = 'approved'
        AND (n.kind = 'write_off' OR (n.kind = 'match' AND n.amount_paise > 0))
      WHERE d.delivery_id = o.delivery_id AND d.leg = o.leg AND d.payee = o.payee
        AND d.class IN ('missing_payout', 'underpaid', 'overpaid', 'cash_mismatch')
      GROUP BY n.id) g))
  ELSE '{}' END,
  o.bucket_key
FROM reconciliation.open_legs o
JOIN reconciliation.legs g ON g.delivery_id = o.delivery_id AND g.leg = o.leg
LEFT JOIN reconciliation.results s ON s.delivery_id = o.delivery_id AND s.leg = o.leg AND s.is_settling
WHERE o.bucket_key >= $2 AND o.bucket_key < $3 AND o.outcome IS NOT NULL
ON CONFLICT (id) DO NOTHING RETURNING class
"""
# Served by open_legs_by_bucket and discrepancies_by_delivery. Of what is undone nothing is owed, or to be handed
# in, and what was too much of it is in the case of the whole.
_SETTLE_UNDONE = """
UPDATE reconciliation.discrepancies d SET settled_run_no = $1
FROM reconciliation.open_legs o
WHERE o.bucket_key >= $2 AND o.bucket_key < $3 AND o.outcome = 'late_adjustment'
  AND d.delivery_id = o.delivery_id AND d.leg = o.leg AND d.class IN ('underpaid', 'overpaid', 'cash_mismatch')
  AND d.settled_run_no IS NULL AND NOT d.is_resolved
"""
# Served by open_legs_by_bucket: it is written down, and nothing more is to come of it here.
_FORGET_ADJUSTED = """
DELETE FROM reconciliation.open_legs WHERE bucket_key >= $1 AND bucket_key < $2 AND outcome = 'late_adjustment'
"""
# Served by discrepancies_waiting, open_lines_pkey and open_legs_pkey.
_SETTLE = """
UPDATE reconciliation.discrepancies d SET settled_run_no = $1
WHERE d.bucket_key >= $2 AND d.bucket_key < $3 AND d.settled_run_no IS NULL
  AND (d.line IS NULL OR d.class = 'unknown_delivery') AND d.class <> 'late_adjustment'
  AND NOT EXISTS (SELECT FROM reconciliation.open_lines l WHERE l.statement_id = d.statement_id AND l.line = d.line)
  AND NOT EXISTS (SELECT FROM reconciliation.open_legs o WHERE o.delivery_id = d.delivery_id AND o.leg = d.leg
    AND d.line IS NULL)
"""


async def post(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Write the bucket's discrepancies down, and note which of earlier ones are settled; return how many of a class."""
    chunk, rules = held.chunk, held.rules
    bucket = (chunk.bucket_from, chunk.bucket_until)
    rows = await connection.fetch(_OF_RESULTS, held.run_no, chunk.chunk, rules.tolerance_paise, held.run_until)
    if held.is_closed:
        # What is open is with later runs.
        return dict(Counter(str(row["class"]) for row in rows))
    rows += await connection.fetch(_OF_LINES, held.run_no, *bucket)
    rows += await connection.fetch(_OF_LEGS, held.run_no, *bucket, rules.payout_due_min, held.run_until)
    await connection.execute(_SETTLE_UNDONE, held.run_no, *bucket)
    await connection.execute(_FORGET_ADJUSTED, *bucket)
    await connection.execute(_SETTLE, held.run_no, *bucket)
    return dict(Counter(str(row["class"]) for row in rows))

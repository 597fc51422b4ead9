"""Classifying in PostgreSQL: what is wrong with the lines and legs of a bucket that no rule has settled."""

import asyncpg

from services.reconciliation.runs.finding.store import INTO, once
from services.reconciliation.runs.run import Held

# Served by open_lines_by_bucket, discrepancies_by_delivery and discrepancies_pkey: the cases of legs that were paid too
# little and have further lines now. The desk decides on these before, or not any more; it locks them in this order too.
_HOLD_SHORT = """
SELECT d.id FROM reconciliation.discrepancies d
WHERE d.settled_run_no IS NULL AND NOT d.is_resolved AND d.id = ANY (ARRAY(
  SELECT unnest(ARRAY(SELECT k.id FROM reconciliation.discrepancies k
    WHERE k.delivery_id = l.delivery_id AND k.leg = l.leg AND k.line IS NOT NULL
      AND k.class IN ('underpaid', 'cash_mismatch')))
  FROM reconciliation.open_lines l WHERE l.bucket_key >= $1 AND l.bucket_key < $2 AND l.delivery_id IS NOT NULL))
ORDER BY d.id FOR UPDATE
"""
# Served by open_lines_by_bucket, entry_once_for_delivery, postings_pkey, leg_settled_once, results_of_further_lines,
# discrepancies_by_delivery, cases_pkey, resolutions_pkey and discrepancies_pkey. What a line is judged by is in the
# order of the cases. Of a leg that was paid too little the rest is owed still, unless the desk has written it off or
# matched it: further lines are judged by the rest, and take the place of the earlier cases.
_CLASSIFY = f"""
WITH known AS MATERIALIZED (
  SELECT l.*, g.payee AS owed_to, g.paise AS whole_paise, coalesce(g.reversal_entry_id < $5, false) AS is_undone,
    s.delivery_id IS NOT NULL AS is_settled,
    CASE WHEN s.line IS NOT NULL AND s.outcome IN ('underpaid', 'cash_mismatch') AND NOT coalesce((
      SELECT true FROM reconciliation.discrepancies d JOIN reconciliation.cases c ON c.case_id = d.id
      JOIN reconciliation.resolutions x ON x.id = c.resolution_id
      WHERE d.delivery_id = l.delivery_id AND d.leg = l.leg AND d.is_resolved AND d.line IS NOT NULL
        AND d.class IN ('underpaid', 'cash_mismatch') AND x.kind IN ('write_off', 'match') LIMIT 1), false)
    THEN g.paise - s.paid_paise - coalesce((SELECT sum(f.paid_paise)::bigint FROM reconciliation.results f
      WHERE f.delivery_id = l.delivery_id AND NOT f.is_settling AND f.leg = l.leg
        AND f.outcome IN ('matched', 'underpaid', 'overpaid', 'cash_mismatch')), 0) END AS left_paise
  FROM reconciliation.open_lines l
  JOIN reconciliation.legs g ON g.delivery_id = l.delivery_id AND g.leg = l.leg AND g.entry_id < $5
  LEFT JOIN reconciliation.results s ON s.delivery_id = l.delivery_id AND s.leg = l.leg AND s.is_settling
  WHERE l.bucket_key >= $3 AND l.bucket_key < $4
), judged AS (
  SELECT statement_id, line, delivery_id, leg, paise, is_undone, is_settled, payee <> owed_to AS is_other,
    coalesce(left_paise > $6, false) AS is_short,
    CASE WHEN left_paise > $6 THEN left_paise ELSE whole_paise END AS owed_paise,
    row_number() OVER leg_lines AS place, row_number() OVER payee_lines AS place_of_payee,
    sum(paise) OVER (PARTITION BY delivery_id, leg, payee) AS together_paise
  FROM known
  WINDOW leg_lines AS (PARTITION BY delivery_id, leg ORDER BY payee <> owed_to, paid_at, statement_id, line),
    payee_lines AS (PARTITION BY delivery_id, leg, payee ORDER BY paid_at, statement_id, line)
), named AS (
  SELECT *, CASE WHEN together_paise <= owed_paise + $6 THEN together_paise ELSE paise END AS counted_paise,
    is_short AND place = 1 AND NOT is_other AND NOT is_undone AS takes_over,
    CASE
      WHEN is_undone THEN 'cancelled_after_export'
      WHEN is_other THEN 'wrong_partner'
      WHEN is_settled AND NOT is_short THEN 'duplicate'
      WHEN place_of_payee > 1 AND together_paise > owed_paise + $6 THEN 'duplicate'
    END AS plain
  FROM judged
), taken_over AS (
  UPDATE reconciliation.discrepancies d SET settled_run_no = $1 FROM named n
  WHERE d.id = ANY ($7::uuid[]) AND n.takes_over AND d.delivery_id = n.delivery_id AND d.leg = n.leg
{INTO}
SELECT statement_id, line, delivery_id, leg,
  coalesce(plain, CASE
    WHEN abs(counted_paise - owed_paise) <= $6 THEN 'matched'
    WHEN leg = 'cash' THEN 'cash_mismatch'
    WHEN counted_paise > owed_paise THEN 'overpaid'
    ELSE 'underpaid'
  END), 'classified', place = 1 AND NOT is_settled,
  CASE WHEN takes_over OR (place = 1 AND NOT is_settled AND NOT is_undone) THEN owed_paise ELSE 0 END, paise,
  $1::integer, $2::integer, NULL, NULL
FROM named
"""  # noqa: S608 - constants
# Served by open_lines_by_bucket.
_CALL_LINES = """
UPDATE reconciliation.open_lines SET outcome = 'unknown_delivery'
WHERE bucket_key >= $1 AND bucket_key < $2 AND outcome IS NULL
"""
# Served by open_legs_by_bucket, entry_once_for_delivery and settlement_holds_pkey. What is held is not missing.
_CALL_LEGS = """
UPDATE reconciliation.open_legs o SET outcome = CASE leg WHEN 'cash' THEN 'cash_mismatch' ELSE 'missing_payout' END
WHERE bucket_key >= $1 AND bucket_key < $2 AND outcome IS NULL
  AND confirmed_at <= $3::timestamptz - make_interval(mins => $4)
  AND NOT coalesce((SELECT h.state <> 'released' FROM reconciliation.entries e
    JOIN reconciliation.settlement_holds h ON h.entry_id = e.id AND h.party = o.payee
    WHERE e.delivery_id = o.delivery_id AND e.kind = 'earnings' LIMIT 1), false)
"""


async def classify(connection: asyncpg.Connection, held: Held) -> dict[str, int]:
    """Say of every open line and leg of the bucket what is wrong with it."""
    bucket = (held.chunk.bucket_from, held.chunk.bucket_until)
    short = [row["id"] for row in await connection.fetch(_HOLD_SHORT, *bucket)]
    judged = await once(connection, held, _CLASSIFY, held.rules.tolerance_paise, short)
    if held.is_whole:
        await connection.execute(_CALL_LINES, *bucket)
        await connection.execute(_CALL_LEGS, *bucket, held.as_of, held.rules.payout_due_min)
    return {"judged": judged}

"""Matching by rule in PostgreSQL. Each statement is for one bucket of payees, which has all that may belong together,
and settles a line and a leg at most once."""

from collections.abc import Sequence

import asyncpg

from services.reconciliation.runs.limits import WorkerLimits
from services.reconciliation.runs.run import Held

# What every statement here begins with: the bucket's lines and legs that are open. An adjustment is no open leg.
# A line that names a leg is in its bucket.
_OPEN = """
lines AS (
  SELECT o.*, regexp_replace(lower(o.reference), '[^0-9a-z]', '', 'g') AS spelt,
    EXISTS (SELECT FROM reconciliation.legs k
      WHERE k.delivery_id = o.delivery_id AND k.leg = o.leg AND k.entry_id < $5) AS is_known
  FROM reconciliation.open_lines o WHERE o.bucket_key >= $3 AND o.bucket_key < $4
), legs AS (
  SELECT o.*, replace(o.delivery_id::text, '-', '') AS spelt,
    (o.delivery_id, o.leg) IN (SELECT l.delivery_id, l.leg FROM lines l WHERE l.delivery_id IS NOT NULL) AS is_named
  FROM reconciliation.open_legs o
  WHERE o.bucket_key >= $3 AND o.bucket_key < $4 AND o.outcome IS DISTINCT FROM 'late_adjustment'
)"""
INTO = """
)
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk, paid_by_statement_id, paid_by_line)"""
# Served by open_lines_by_bucket, open_legs_by_bucket, entry_once_for_delivery and postings_pkey, as all that follow.
# The lines of a leg together are what is owed for it: one within the tolerance, or several.
_MATCH_NAMED = f"""
WITH {_OPEN}, sums AS (
  SELECT l.delivery_id, l.leg, g.payee, g.paise, count(*) AS lines
  FROM lines l JOIN legs g ON g.delivery_id = l.delivery_id AND g.leg = l.leg AND g.payee = l.payee
  GROUP BY l.delivery_id, l.leg, g.payee, g.paise HAVING abs(sum(l.paise) - g.paise) <= $6
), found AS (
  SELECT l.*, s.paise AS owed_paise, s.lines, row_number() OVER (PARTITION BY l.delivery_id, l.leg
    ORDER BY l.paid_at, l.statement_id, l.line) AS place
  FROM lines l JOIN sums s ON s.delivery_id = l.delivery_id AND s.leg = l.leg AND s.payee = l.payee
{INTO}
SELECT statement_id, line, delivery_id, leg, 'matched', CASE lines WHEN 1 THEN 'tolerance' ELSE 'many_to_one' END,
  place = 1, CASE place WHEN 1 THEN owed_paise ELSE 0 END, paise, $1::integer, $2::integer, NULL, NULL
FROM found
"""  # noqa: S608 - constants
# A reference with a slip: one half of it is that of a delivery which is owed the same, and of no other.
_MATCH_MISTYPED = f"""
WITH {_OPEN}, pairs AS (
  SELECT l.statement_id, l.line, g.delivery_id, l.leg, g.paise AS owed_paise, l.paise,
    count(*) OVER (PARTITION BY l.statement_id, l.line) AS of_line,
    count(*) OVER (PARTITION BY g.delivery_id, g.leg) AS of_leg
  FROM lines l JOIN legs g ON g.payee = l.payee AND g.leg = l.leg AND abs(g.paise - l.paise) <= $6 AND NOT g.is_named
    AND (right(l.spelt, 16) = right(g.spelt, 16) OR left(l.spelt, 16) = left(g.spelt, 16))
  WHERE NOT l.is_known AND length(l.spelt) BETWEEN 24 AND 40
{INTO}
SELECT statement_id, line, delivery_id, leg, 'matched', 'mistyped_reference', true, owed_paise, paise,
  $1::integer, $2::integer, NULL, NULL
FROM pairs WHERE of_line = 1 AND of_leg = 1
"""  # noqa: S608 - constants
# No reference: the same payee, about the same amount and time; each the other's nearest, or as near to it as it is to
# that. Of a day's equal payments at its end all have the same nearest: the second gets the second, and so on.
_MATCH_NAMELESS = f"""
WITH {_OPEN}, pairs AS (
  SELECT l.statement_id, l.line, g.delivery_id, l.leg, g.paise AS owed_paise, l.paise,
    row_number() OVER (PARTITION BY l.statement_id, l.line ORDER BY abs(g.paise - l.paise),
      abs(extract(epoch FROM l.paid_at - g.confirmed_at)), g.confirmed_at, g.delivery_id) AS of_line,
    row_number() OVER (PARTITION BY g.delivery_id, g.leg ORDER BY abs(g.paise - l.paise),
      abs(extract(epoch FROM l.paid_at - g.confirmed_at)), l.paid_at, l.statement_id, l.line) AS of_leg
  FROM lines l JOIN legs g ON g.payee = l.payee AND g.leg = l.leg AND abs(g.paise - l.paise) <= $6 AND NOT g.is_named
    AND l.paid_at BETWEEN g.confirmed_at - make_interval(mins => $7) AND g.confirmed_at + make_interval(mins => $7)
  WHERE NOT l.is_known AND l.delivery_id IS NULL AND length(l.spelt) < 24
), alike AS (
  SELECT *, min(of_line) OVER (PARTITION BY statement_id, line) AS first_of_line,
    min(of_leg) OVER (PARTITION BY delivery_id, leg) AS first_of_leg
  FROM pairs WHERE of_line = of_leg
{INTO}
SELECT statement_id, line, delivery_id, leg, 'matched', 'missing_reference', true, owed_paise, paise,
  $1::integer, $2::integer, NULL, NULL
FROM alike WHERE of_line = first_of_line AND of_leg = first_of_leg
"""  # noqa: S608 - constants
# One line for all that a payee was owed in the time before it. A payee's first such line, so that no leg is in two.
_MATCH_TOGETHER = f"""
WITH {_OPEN}, sums AS (
  SELECT l.statement_id, l.line, l.payee, l.leg, l.paise, l.paid_at, sum(g.paise) AS owed_paise
  FROM lines l JOIN legs g ON g.payee = l.payee AND g.leg = l.leg AND NOT g.is_named
    AND g.confirmed_at <= l.paid_at AND g.confirmed_at > l.paid_at - make_interval(mins => $7)
  WHERE NOT l.is_known AND l.delivery_id IS NULL AND length(l.spelt) < 24
  GROUP BY l.statement_id, l.line, l.payee, l.leg, l.paise, l.paid_at
  HAVING count(*) > 1 AND abs(sum(g.paise) - l.paise) <= $6
), first AS (
  SELECT DISTINCT ON (payee, leg) * FROM sums ORDER BY payee, leg, paid_at, statement_id, line
{INTO}
SELECT f.statement_id, f.line, NULL, f.leg, 'matched', 'one_to_many', false, f.owed_paise, f.paise,
  $1::integer, $2::integer, NULL, NULL
FROM first f
UNION ALL
SELECT NULL, NULL, g.delivery_id, g.leg, 'matched', 'one_to_many', true, g.paise, g.paise,
  $1::integer, $2::integer, f.statement_id, f.line
FROM first f JOIN legs g ON g.payee = f.payee AND g.leg = f.leg AND NOT g.is_named
  AND g.confirmed_at <= f.paid_at AND g.confirmed_at > f.paid_at - make_interval(mins => $7)
"""  # noqa: S608 - constants
# Served by open_legs_by_bucket, open_lines_by_delivery, entry_once_for_delivery, settlement_lines_pkey,
# settlement_holds_pkey, settlement_cycles_by_calendar, payout_batches_cycle_no_key, payouts_batch_no_party_key and
# settlement_statements_pkey. What a settlement has paid, where no line names it. `d` are the cycles from the line's own
# on that were paid out while it was not held; `clear_after` is when a payout of the party was out of the way: never,
# while it is sent. A leg is paid by a cycle whose payout has left the bank, or which had none, since the party owed as
# much; all payouts between must have left it, or have come back in time. Cash is handed in where something was left to
# pay out, or just nothing.
_MATCH_SETTLED = """
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk, paid_by_statement_id, paid_by_line)
SELECT NULL, NULL, o.delivery_id, o.leg, 'matched', 'settlement', true, o.paise, o.paise, $1::integer, $2::integer,
  found.statement_id, found.line
FROM reconciliation.open_legs o
CROSS JOIN LATERAL (
  SELECT l.party, c.calendar, c.cycle_no, h.state AS hold_state, h.changed_at AS hold_changed_at
  FROM reconciliation.entries e
  JOIN reconciliation.settlement_lines l ON l.entry_id = e.id AND l.party = o.payee
  JOIN reconciliation.settlement_cycles c ON c.cycle_no = l.cycle_no
  LEFT JOIN reconciliation.settlement_holds h ON h.entry_id = l.entry_id AND h.party = l.party
  WHERE e.delivery_id = o.delivery_id AND e.kind = 'earnings' AND e.id < $5 LIMIT 1
) k
CROSS JOIN LATERAL (
  SELECT CASE o.leg WHEN 'payout' THEN t.statement_id END AS statement_id,
    CASE o.leg WHEN 'payout' THEN t.line END AS line
  FROM (
    SELECT d.*, max(d.clear_after) OVER (ORDER BY d.cycle_no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
      AS clear_before
    FROM (
      SELECT d.cycle_no, d.until_at, p.reference, p.paid_by_statement_id AS statement_id, p.paid_by_line AS line,
        CASE WHEN p.reference IS NULL THEN '-infinity'
          WHEN p.paid_entry_id < $5 AND coalesce(p.returned_entry_id >= $5, true) THEN '-infinity'
          WHEN p.state = 'returned' THEN p.changed_at ELSE 'infinity' END AS clear_after
      FROM (
        SELECT d.cycle_no, least(d.until_at, d.closed_at) AS until_at, b.batch_no
        FROM reconciliation.settlement_cycles d
        JOIN reconciliation.payout_batches b ON b.cycle_no = d.cycle_no AND b.created_at <= $6
          AND (k.hold_state IS NULL OR k.hold_state = 'released' AND k.hold_changed_at <= b.created_at)
        WHERE d.calendar = k.calendar AND d.cycle_no >= k.cycle_no ORDER BY d.cycle_no LIMIT $7
      ) d
      LEFT JOIN reconciliation.payouts p ON p.batch_no = d.batch_no AND p.party = k.party
    ) d
  ) t
  LEFT JOIN reconciliation.settlement_statements s ON s.cycle_no = t.cycle_no AND s.party = k.party
  WHERE CASE o.leg
    WHEN 'cash' THEN t.reference IS NOT NULL OR coalesce(s.closing_paise - s.held_paise - s.unsettled_paise, 0) = 0
    ELSE t.clear_after = '-infinity' AND (t.reference IS NOT NULL OR coalesce(s.closing_paise, 0) <= 0)
      AND coalesce(t.clear_before <= t.until_at, true) END
  ORDER BY t.cycle_no LIMIT 1
) found
WHERE o.bucket_key >= $3 AND o.bucket_key < $4 AND o.outcome IS DISTINCT FROM 'late_adjustment'
  AND o.confirmed_at <= (SELECT created_at FROM reconciliation.payout_batches ORDER BY batch_no DESC LIMIT 1)
  AND NOT coalesce((SELECT true FROM reconciliation.open_lines n
    WHERE n.delivery_id = o.delivery_id AND n.leg = o.leg LIMIT 1), false)
"""
# Served by open_lines_by_bucket and line_settled_once.
_SETTLE_LINES = """
DELETE FROM reconciliation.open_lines o USING reconciliation.results r
WHERE o.bucket_key >= $1 AND o.bucket_key < $2 AND r.statement_id = o.statement_id AND r.line = o.line
"""
# Served by open_legs_by_bucket and leg_settled_once.
_SETTLE_LEGS = """
DELETE FROM reconciliation.open_legs o USING reconciliation.results r
WHERE o.bucket_key >= $2 AND o.bucket_key < $3 AND r.delivery_id = o.delivery_id AND r.leg = o.leg AND r.is_settling
  AND r.run_no = $1
"""
_NOTHING = "INSERT 0 0"


async def match_by_rule(connection: asyncpg.Connection, held: Held, limits: WorkerLimits) -> dict[str, int]:
    """Settle what rules find, one rule after the other. Nothing is concluded where something may be missing.

    `undecided` are buckets of which that has to be remembered.
    """
    if not held.is_whole:
        return {"undecided": 1}
    rules = held.rules
    found = {"by_reference": await once(connection, held, _MATCH_NAMED, rules.tolerance_paise)}
    found["mistyped_reference"] = await once(connection, held, _MATCH_MISTYPED, rules.tolerance_paise)
    near = (rules.tolerance_paise, rules.tolerance_min)
    passes = {"missing_reference": _MATCH_NAMELESS, "one_to_many": _MATCH_TOGETHER}
    for name, statement in passes.items():
        found[name], is_cut_off = await _until_none(connection, held, statement, limits.passes_max, near)
        if is_cut_off:
            found["undecided"] = 1
    found["settlement"] = await once(connection, held, _MATCH_SETTLED, held.as_of, limits.batches_max)
    return found


async def once(connection: asyncpg.Connection, held: Held, statement: str, *values: object) -> int:
    """Run a statement that adds results of the bucket, and close what these settle; return how many it added."""
    chunk = held.chunk
    tag = await connection.execute(
        statement, held.run_no, chunk.chunk, chunk.bucket_from, chunk.bucket_until, held.run_until, *values
    )
    if tag != _NOTHING:
        await connection.execute(_SETTLE_LINES, chunk.bucket_from, chunk.bucket_until)
        await connection.execute(_SETTLE_LEGS, held.run_no, chunk.bucket_from, chunk.bucket_until)
    return int(tag.rpartition(" ")[2])


async def _until_none(
    connection: asyncpg.Connection, held: Held, statement: str, passes_max: int, values: Sequence[object]
) -> tuple[int, bool]:
    """Run a statement that settles the nearest until it finds none; return how many, and whether it was cut off."""
    total = 0
    for _ in range(passes_max):
        found = await once(connection, held, statement, *values)
        if not found:
            return total, False
        total += found
    return total, True

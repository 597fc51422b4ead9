"""Closing a cycle in PostgreSQL: every statement of its states. Each is one piece, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.reconciliation.settlements.holds.store import LEFT_OF_HELD
from services.reconciliation.settlements.store import OpenCycle

# Served by entries_pkey.
_PIECE_END = "SELECT id FROM reconciliation.entries WHERE id > $1 AND id < $2 ORDER BY id OFFSET $3 - 1 LIMIT 1"
# Served by entries_pkey, rate_cards_pkey, settlement_lines_pkey and postings_pkey. What undoes a line of an earlier
# cycle is an adjustment; what corrects one names it likewise. TDS goes with what was earned, which is on the same
# entry.
_GATHER = """
WITH taken AS MATERIALIZED (
  SELECT e.id, e.kind::text AS kind, CASE e.kind::text WHEN 'correction' THEN
    (SELECT k.corrects FROM reconciliation.corrections k WHERE k.entry_id = e.id) ELSE e.reverses END AS adjusts
  FROM reconciliation.entries e
  WHERE e.id > $2 AND e.id <= $3
    AND coalesce(e.calendar, (SELECT c.city_code FROM reconciliation.rate_cards c
      WHERE c.id = e.rate_card_id AND c.city_code = ANY ($5::text[])), '') = $4
    AND NOT EXISTS (SELECT FROM reconciliation.settlement_lines l WHERE l.entry_id = e.id)
), dated AS MATERIALIZED (
  SELECT t.*, CASE WHEN t.adjusts IS NOT NULL THEN (SELECT l.cycle_no FROM reconciliation.settlement_lines l
    WHERE l.entry_id = t.adjusts LIMIT 1) END AS adjusts_cycle_no
  FROM taken t
), seen AS (
  SELECT t.id, t.kind, t.adjusts, t.adjusts_cycle_no, p.paise, p.merchant_id,
    CASE WHEN p.account LIKE 'cash:%' THEN 'cash_in_hand' ELSE p.purpose END AS purpose,
    CASE WHEN p.account LIKE 'cash:%' THEN 'partner:' || substr(p.account, 6)
      WHEN p.account ~ '^(partner|network|merchant):' THEN p.account END AS party,
    coalesce(sum(p.paise) FILTER (WHERE p.account = 'tax:tds') OVER (PARTITION BY t.id), 0) AS tds_paise
  FROM dated t JOIN reconciliation.postings p ON p.entry_id = t.id AND p.entry_id > $2 AND p.entry_id <= $3
), parts AS (
  SELECT id, kind, adjusts, adjusts_cycle_no, party, min(merchant_id::text)::uuid AS merchant_id, -sum(paise) AS paise,
    coalesce(-sum(paise) FILTER (WHERE purpose = 'gst'), 0)
      + CASE WHEN bool_or(purpose = 'earnings') THEN tds_paise ELSE 0 END AS tax_paise,
    coalesce(-sum(paise) FILTER (WHERE purpose LIKE 'cash%'), 0) AS cash_paise,
    coalesce(-sum(paise) FILTER (WHERE purpose IN ('paid', 'payment')), 0) AS paid_paise
  FROM seen WHERE party IS NOT NULL GROUP BY id, kind, adjusts, adjusts_cycle_no, party, tds_paise
)
INSERT INTO reconciliation.settlement_lines (cycle_no, party, entry_id, kind, work_paise, tax_paise, cash_paise,
  paid_paise, paise, adjusts_entry_id, adjusts_cycle_no, merchant_id)
SELECT $1, p.party, p.id, CASE WHEN p.kind = 'earnings' THEN 'delivery'
    WHEN p.kind = 'reversal' AND p.adjusts_cycle_no < $1 THEN 'adjustment' ELSE p.kind END,
  p.paise - p.tax_paise - p.cash_paise - p.paid_paise, p.tax_paise, p.cash_paise, p.paid_paise, p.paise, p.adjusts,
  CASE WHEN p.adjusts_cycle_no < $1 THEN p.adjusts_cycle_no END, p.merchant_id
FROM parts p
ORDER BY p.id, p.party
"""
# Served by payouts_open and settlement_lines_pkey: a statement shows them now.
_SHOWN = """
UPDATE reconciliation.payouts p SET is_open = false FROM reconciliation.settlement_lines l
WHERE p.is_open AND l.entry_id = p.paid_entry_id AND l.party = p.party
"""
# Served by partner_versions_pkey, whose order it reads.
_PARTNERS = """
SELECT partner_id FROM reconciliation.partner_versions WHERE partner_id > $1
GROUP BY partner_id ORDER BY partner_id LIMIT $2
"""
# Served by partner_versions_pkey, rate_cards_city_code_vehicle_network_code_effective_from_key and
# settlement_lines_by_party. A version lasts until the next one; where that is not known, nor is how long. What networks
# promise their partners is theirs to keep. Where a partner moved from one calendar to another, each has its own time.
_DUTIES = """
WITH versions AS MATERIALIZED (
  SELECT v.partner_id, v.version, v.event_id, v.vehicle, v.network_code, v.city_code, v.on_duty, v.changed_at,
    lead(v.version) OVER following AS next_version, coalesce(lead(v.changed_at) OVER following, $4) AS next_at
  FROM unnest($2::uuid[]) AS p (partner_id)
  CROSS JOIN LATERAL (
    SELECT coalesce((SELECT f.version FROM reconciliation.partner_versions f
      WHERE f.partner_id = p.partner_id AND f.changed_at <= $3 ORDER BY f.version DESC LIMIT 1), 0) AS version) first
  JOIN reconciliation.partner_versions v ON v.partner_id = p.partner_id AND v.version >= first.version
    AND v.changed_at < $4
  WINDOW following AS (PARTITION BY v.partner_id ORDER BY v.version)
), duty AS (
  SELECT partner_id, floor(extract(epoch FROM sum(upper(span) - lower(span))))::bigint AS on_duty_s,
    array_agg(DISTINCT event_id) AS event_ids
  FROM versions CROSS JOIN LATERAL unnest(on_duty * tstzmultirange(tstzrange(least(changed_at, next_at), next_at))
    * tstzmultirange(tstzrange($3, $4))) AS span
  WHERE (next_version IS NULL OR next_version = version + 1)
    AND CASE WHEN city_code = ANY ($6::text[]) THEN city_code ELSE '' END = $5
  GROUP BY partner_id
), latest AS (
  SELECT DISTINCT ON (partner_id) partner_id, version, vehicle, network_code, city_code
  FROM versions WHERE CASE WHEN city_code = ANY ($6::text[]) THEN city_code ELSE '' END = $5
  ORDER BY partner_id, version DESC
)
SELECT d.partner_id, l.version, d.event_ids, d.on_duty_s, c.id AS rate_card_id, c.guarantee_paise_per_h,
  coalesce(e.earned_paise, 0)::bigint AS earned_paise
FROM duty d JOIN latest l ON l.partner_id = d.partner_id AND l.network_code = ''
CROSS JOIN LATERAL (
  SELECT id, (terms->>'guarantee_paise_per_h')::bigint AS guarantee_paise_per_h FROM reconciliation.rate_cards
  WHERE city_code = l.city_code AND vehicle = l.vehicle AND network_code = '' AND effective_from < $4
  ORDER BY effective_from DESC LIMIT 1
) c
LEFT JOIN LATERAL (
  SELECT sum(work_paise) AS earned_paise FROM reconciliation.settlement_lines
  WHERE cycle_no = $1 AND party = 'partner:' || d.partner_id AND kind IN ('delivery', 'reversal', 'correction')
    AND adjusts_cycle_no IS NULL
) e ON true
WHERE c.guarantee_paise_per_h > 0
ORDER BY d.partner_id
"""
_ADD_TOP_UPS = """
WITH made AS (
  INSERT INTO reconciliation.settlement_top_ups (entry_id, cycle_no, partner_id, on_duty_s, earned_paise,
    guarantee_paise_per_h, paise)
  SELECT entry_id, $1, partner_id, on_duty_s, earned_paise, guarantee_paise_per_h, paise
  FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS t (entry_id, partner_id, on_duty_s, earned_paise, guarantee_paise_per_h, paise)
  RETURNING entry_id, partner_id, paise
)
INSERT INTO reconciliation.settlement_lines (cycle_no, party, entry_id, kind, work_paise, tax_paise, cash_paise,
  paid_paise, paise)
SELECT $1, 'partner:' || partner_id, entry_id, 'guarantee', paise, 0, 0, 0, paise FROM made
"""
# Served by settlement_lines_by_party, of which it reads each party once, and by settlement_statements_pkey.
_PARTIES = """
SELECT party FROM (
  (SELECT party FROM reconciliation.settlement_lines WHERE cycle_no = $1 AND party > $3
   GROUP BY party ORDER BY party LIMIT $4)
  UNION
  (SELECT party FROM reconciliation.settlement_statements WHERE cycle_no = $2 AND party > $3 AND closing_paise <> 0
   ORDER BY party LIMIT $4)
) p ORDER BY party LIMIT $4
"""
# Served by settlement_lines_by_party, settlement_statements_pkey, payouts_open, and what LEFT_OF_HELD names. The hash
# is of what statement.hash_of spells.
_STATE = f"""
WITH {LEFT_OF_HELD}, cycle AS (
  SELECT cycle_no, calendar, previous_no, concat_ws('|', cycle_no, calendar,
    (extract(epoch FROM from_at) * 1000000)::bigint, (extract(epoch FROM until_at) * 1000000)::bigint) AS head
  FROM reconciliation.settlement_cycles WHERE cycle_no = $1
), parties AS (
  SELECT party COLLATE "C" AS party FROM unnest($2::text[]) AS p (party)
), sums AS (
  SELECT party, count(*)::integer AS lines_count, sum(work_paise)::bigint AS work_paise,
    sum(tax_paise)::bigint AS tax_paise, sum(cash_paise)::bigint AS cash_paise, sum(paid_paise)::bigint AS paid_paise
  FROM reconciliation.settlement_lines WHERE cycle_no = $1 AND party = ANY ($2::text[]) GROUP BY party
), blocks AS (
  SELECT party, block, encode(sha256(convert_to(string_agg(concat_ws('|', entry_id, kind, work_paise, tax_paise,
    cash_paise, paid_paise, coalesce(adjusts_entry_id::text, ''), coalesce(adjusts_cycle_no::text, '')), E'\\n'
    ORDER BY entry_id), 'UTF8')), 'hex') AS hash
  FROM (
    SELECT *, (row_number() OVER (PARTITION BY party ORDER BY entry_id) - 1) / 10000 AS block
    FROM reconciliation.settlement_lines WHERE cycle_no = $1 AND party = ANY ($2::text[])
  ) numbered GROUP BY party, block
), hashes AS (
  SELECT party, string_agg(hash, E'\\n' ORDER BY block) AS hash FROM blocks GROUP BY party
), held AS (
  SELECT party, sum(paise)::bigint AS paise FROM left_of_held
  WHERE party = ANY ($2::text[]) AND calendar = (SELECT calendar FROM cycle) GROUP BY party
), unsettled AS (
  SELECT p.party, sum(p.paise)::bigint AS paise FROM reconciliation.payouts p
  JOIN reconciliation.payout_batches b ON b.batch_no = p.batch_no
  JOIN reconciliation.settlement_cycles c ON c.cycle_no = b.cycle_no
  WHERE p.is_open AND p.party = ANY ($2::text[]) AND c.calendar = (SELECT calendar FROM cycle)
  GROUP BY p.party
), totals AS (
  SELECT p.party, coalesce(o.closing_paise, 0) AS opening_paise, coalesce(s.lines_count, 0) AS lines_count,
    coalesce(s.work_paise, 0) AS work_paise, coalesce(s.tax_paise, 0) AS tax_paise,
    coalesce(s.cash_paise, 0) AS cash_paise, coalesce(s.paid_paise, 0) AS paid_paise,
    coalesce(o.closing_paise, 0) + coalesce(s.work_paise + s.tax_paise + s.cash_paise + s.paid_paise, 0)
      AS closing_paise,
    coalesce(h.paise, 0) AS held_paise, coalesce(u.paise, 0) AS unsettled_paise
  FROM parties p
  LEFT JOIN reconciliation.settlement_statements o ON o.cycle_no = (SELECT previous_no FROM cycle) AND o.party = p.party
  LEFT JOIN sums s ON s.party = p.party
  LEFT JOIN held h ON h.party = p.party
  LEFT JOIN unsettled u ON u.party = p.party
), whole AS (
  SELECT t.*, greatest(0, closing_paise - held_paise - unsettled_paise) AS payable_paise FROM totals t
)
INSERT INTO reconciliation.settlement_statements (cycle_no, party, opening_paise, lines_count, work_paise, tax_paise,
  cash_paise, paid_paise, closing_paise, held_paise, unsettled_paise, payable_paise, content_sha256, merchant_id)
SELECT $1, w.party, opening_paise, lines_count, work_paise, tax_paise, cash_paise, paid_paise, closing_paise,
  held_paise, unsettled_paise, payable_paise,
  sha256(convert_to(concat_ws(E'\\n', $3::text, (SELECT head FROM cycle) || '|' || w.party,
    concat_ws('|', opening_paise, lines_count, work_paise, tax_paise, cash_paise, paid_paise, closing_paise, held_paise,
      unsettled_paise, payable_paise), h.hash), 'UTF8')),
  CASE WHEN w.party LIKE 'merchant:%' THEN substr(w.party, 10)::uuid END
FROM whole w LEFT JOIN hashes h ON h.party = w.party ORDER BY w.party
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class PartnerDuty:
    """What a partner did in a cycle, and what an hour of it is guaranteed."""

    partner_id: UUID
    version: int
    event_ids: list[UUID]
    on_duty_s: int
    rate_card_id: UUID
    guarantee_paise_per_h: int
    earned_paise: int


@dataclass(frozen=True, slots=True)
class TopUp:
    """What a partner is paid on top, by which entry."""

    entry_id: UUID
    duty: PartnerDuty
    paise: int


async def gather(connection: asyncpg.Connection, cycle: OpenCycle, after: UUID, entries_max: int) -> UUID | None:
    """Make the next entries lines of their parties; return the last of these, or None when no more are left."""
    end: UUID | None = await connection.fetchval(_PIECE_END, after, cycle.entries_until, entries_max)
    until = end or cycle.entries_until
    await connection.execute(_GATHER, cycle.cycle_no, after, until, cycle.calendar, cycle.own_cities)
    return end


async def note_shown(connection: asyncpg.Connection) -> None:
    """Note of payouts that statements show them now."""
    await connection.execute(_SHOWN)


async def partners(connection: asyncpg.Connection, after: UUID, rows_max: int) -> list[UUID]:
    """Return partners in the order of their ids, those after one."""
    return [row["partner_id"] for row in await connection.fetch(_PARTNERS, after, rows_max)]


async def duties(connection: asyncpg.Connection, cycle: OpenCycle, partner_ids: Sequence[UUID]) -> list[PartnerDuty]:
    """Return what partners did who were on duty and are guaranteed something."""
    rows = await connection.fetch(
        _DUTIES, cycle.cycle_no, partner_ids, cycle.from_at, cycle.until_at, cycle.calendar, cycle.own_cities
    )
    return [PartnerDuty(**row) for row in rows]


async def add_top_ups(connection: asyncpg.Connection, cycle_no: int, made: Sequence[TopUp]) -> None:
    """Store what top-ups were worked out from, and make each a line of its partner."""
    rows = [
        (t.entry_id, t.duty.partner_id, t.duty.on_duty_s, t.duty.earned_paise, t.duty.guarantee_paise_per_h, t.paise)
        for t in made
    ]
    if rows:
        await connection.execute(_ADD_TOP_UPS, cycle_no, *map(list, zip(*rows, strict=True)))


async def parties(connection: asyncpg.Connection, cycle: OpenCycle, after: str, rows_max: int) -> list[str]:
    """Return parties that are to have a statement, in order, those after one."""
    rows = await connection.fetch(_PARTIES, cycle.cycle_no, cycle.previous_no, after, rows_max)
    return [row["party"] for row in rows]


async def state(connection: asyncpg.Connection, cycle_no: int, some: Sequence[str], form: str) -> None:
    """Make the statements of some parties. `form` is the first line of what is hashed."""
    await connection.execute(_STATE, cycle_no, some, form)

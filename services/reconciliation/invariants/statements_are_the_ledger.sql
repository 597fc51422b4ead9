-- Promise 6: what a party's last closed statements say is open, of all calendars, is what the ledger owes it, but for
-- entries that are in no closed statement yet. Returns the parties of which that is not so.
WITH last_cycles AS (
  SELECT calendar, max(cycle_no) AS cycle_no FROM reconciliation.settlement_cycles WHERE closed_at IS NOT NULL
  GROUP BY calendar
), stated AS (
  SELECT s.party, sum(s.closing_paise) AS paise FROM reconciliation.settlement_statements s
  JOIN last_cycles USING (cycle_no) GROUP BY s.party
), booked AS (
  SELECT l.party, sum(l.paise) AS paise FROM reconciliation.settlement_lines l
  JOIN reconciliation.settlement_cycles c ON c.cycle_no = l.cycle_no AND c.closed_at IS NOT NULL
  GROUP BY l.party
)
SELECT coalesce(s.party, b.party) AS party, s.paise AS stated_paise, b.paise AS lines_paise
FROM stated s FULL JOIN booked b ON b.party = s.party
WHERE coalesce(s.paise, 0) <> coalesce(b.paise, 0);

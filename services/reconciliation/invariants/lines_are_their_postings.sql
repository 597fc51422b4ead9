-- Promise 6: a line is what its entry has on its party's accounts, and an adjustment undoes exactly what it names, as that
-- was corrected. Returns the lines of which that is not so.
WITH corrected AS (
  SELECT adjusts_entry_id, party, sum(paise) AS paise FROM reconciliation.settlement_lines
  WHERE kind = 'correction' GROUP BY adjusts_entry_id, party
)
SELECT l.party, l.entry_id, l.paise, -sum(p.paise) AS booked_paise, o.paise AS adjusted_paise,
  c.paise AS corrected_paise
FROM reconciliation.settlement_lines l
JOIN reconciliation.postings p ON p.entry_id = l.entry_id
  AND regexp_replace(p.account, '^cash:', 'partner:') = l.party
LEFT JOIN reconciliation.settlement_lines o ON o.entry_id = l.adjusts_entry_id AND o.party = l.party
LEFT JOIN corrected c ON c.adjusts_entry_id = l.adjusts_entry_id AND c.party = l.party
GROUP BY l.party, l.entry_id, l.kind, l.paise, o.paise, c.paise
HAVING l.paise <> -sum(p.paise)
  OR (l.kind <> 'correction' AND num_nonnulls(o.paise, c.paise) > 0
    AND l.paise <> -(coalesce(o.paise, 0) + coalesce(c.paise, 0)));

-- Promise 6: a line is what its entry has on its party's accounts, and an adjustment undoes exactly what it names.
-- Returns the lines of which that is not so.
SELECT l.party, l.entry_id, l.paise, -sum(p.paise) AS booked_paise, o.paise AS adjusted_paise
FROM reconciliation.settlement_lines l
JOIN reconciliation.postings p ON p.entry_id = l.entry_id
  AND regexp_replace(p.account, '^cash:', 'partner:') = l.party
LEFT JOIN reconciliation.settlement_lines o ON o.entry_id = l.adjusts_entry_id AND o.party = l.party
GROUP BY l.party, l.entry_id, l.paise, o.paise
HAVING l.paise <> -sum(p.paise) OR l.paise <> -o.paise;

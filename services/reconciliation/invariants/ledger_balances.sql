-- Promise 6: the postings of every entry sum to zero, and are as many as it states. Returns the entries whose do not.
SELECT e.id AS entry_id, coalesce(sum(p.paise), 0) AS rest_paise, count(p.line) AS postings, e.postings_count
FROM reconciliation.entries e LEFT JOIN reconciliation.postings p ON p.entry_id = e.id
GROUP BY e.id
HAVING coalesce(sum(p.paise), 0) <> 0 OR count(p.line) <> e.postings_count;

-- Promise 6: a correction corrects an entry of earnings of the same merchant and partner, and says which; what undoes a
-- delivery undoes all of it. Returns the corrections and reversals of which that is not so.
SELECT e.id AS entry_id, k.corrects, NULL::bigint AS rest_paise
FROM reconciliation.entries e
LEFT JOIN reconciliation.corrections k ON k.entry_id = e.id
LEFT JOIN reconciliation.entries o ON o.id = k.corrects
WHERE (e.kind = 'correction' OR k.entry_id IS NOT NULL) AND (e.kind <> 'correction' OR o.kind IS DISTINCT FROM 'earnings'
  OR e.merchant_id <> o.merchant_id OR e.partner_id <> o.partner_id OR k.merchant_id <> e.merchant_id)
UNION ALL
SELECT u.id, u.reverses, sum(p.paise)::bigint
FROM reconciliation.entries u
JOIN reconciliation.corrections k ON k.corrects = u.reverses
JOIN reconciliation.postings p ON p.entry_id IN (u.id, u.reverses)
  OR p.entry_id IN (SELECT c.entry_id FROM reconciliation.corrections c WHERE c.corrects = u.reverses)
GROUP BY u.id, u.reverses, p.account
HAVING sum(p.paise) <> 0;

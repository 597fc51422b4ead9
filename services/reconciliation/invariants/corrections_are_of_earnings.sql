-- Promise 6: a correction corrects an entry of earnings of the same merchant and partner, and says which; what undoes a
-- delivery undoes all of it, account by account. Returns the corrections and reversals of which that is not so.
WITH undone AS (
  SELECT DISTINCT u.id, u.reverses FROM reconciliation.corrections k
  JOIN reconciliation.entries u ON u.reverses = k.corrects
), parts AS (
  SELECT id, id AS entry_id FROM undone
  UNION ALL
  SELECT id, reverses FROM undone
  UNION ALL
  SELECT u.id, k.entry_id FROM undone u JOIN reconciliation.corrections k ON k.corrects = u.reverses
)
SELECT e.id AS entry_id, k.corrects, NULL::text AS account, NULL::bigint AS rest_paise
FROM reconciliation.entries e
LEFT JOIN reconciliation.corrections k ON k.entry_id = e.id
LEFT JOIN reconciliation.entries o ON o.id = k.corrects
WHERE (e.kind = 'correction' OR k.entry_id IS NOT NULL) AND (e.kind <> 'correction' OR o.kind IS DISTINCT FROM 'earnings'
  OR e.merchant_id <> o.merchant_id OR e.partner_id <> o.partner_id OR k.merchant_id <> e.merchant_id)
UNION ALL
SELECT s.id, NULL, p.account, sum(p.paise)::bigint
FROM parts s JOIN reconciliation.postings p ON p.entry_id = s.entry_id
GROUP BY s.id, p.account
HAVING sum(p.paise) <> 0;

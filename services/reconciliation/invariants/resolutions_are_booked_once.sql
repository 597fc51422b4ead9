-- What is resolved by the desk says so everywhere: its resolution is approved, above its limit by another than who proposed
-- it, and an entry of the ledger is of an approved resolution. Returns what is not.
SELECT c.case_id AS id, 'case' AS wrong FROM reconciliation.cases c
JOIN reconciliation.discrepancies d ON d.id = c.case_id
LEFT JOIN reconciliation.resolutions r ON r.id = c.resolution_id
WHERE d.is_resolved <> (c.state = 'resolved' AND c.resolution_id IS NOT NULL)
  OR (d.is_resolved AND r.outcome IS DISTINCT FROM 'approved')
UNION ALL
SELECT d.id, 'discrepancy' FROM reconciliation.discrepancies d
WHERE d.is_resolved AND NOT EXISTS (SELECT FROM reconciliation.cases c WHERE c.case_id = d.id AND c.state = 'resolved')
UNION ALL
SELECT r.id, 'resolution' FROM reconciliation.resolutions r
WHERE r.outcome IS NOT NULL AND r.amount_paise > r.limit_paise AND r.decided_by = r.proposed_by
UNION ALL
SELECT e.id, 'entry' FROM reconciliation.entries e
LEFT JOIN reconciliation.resolutions r ON r.id = e.cause_event_id
WHERE e.kind = 'resolution' AND r.outcome IS DISTINCT FROM 'approved';

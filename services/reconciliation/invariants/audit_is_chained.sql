-- Every row of the audit trail follows the one before and has the hash of its own content, and no case refers to a row
-- beyond its end. Returns the first rows of which that is not so.
WITH chained AS (
  SELECT a.sequence, a.previous_sha256, a.sha256, reconciliation.audit_sha256(a) AS made_sha256,
    lag(a.sequence, 1, 0::bigint) OVER trail AS before,
    lag(a.sha256, 1, decode(repeat('00', 32), 'hex')) OVER trail AS before_sha256
  FROM reconciliation.audit_trail a WINDOW trail AS (ORDER BY a.sequence)
)
(SELECT sequence, 'row' AS wrong FROM chained
WHERE sequence <> before + 1 OR previous_sha256 <> before_sha256 OR sha256 <> made_sha256 ORDER BY sequence LIMIT 5)
UNION ALL
SELECT c.audited_sequence, 'case ' || c.case_id FROM reconciliation.cases c
WHERE NOT EXISTS (SELECT FROM reconciliation.audit_trail a WHERE a.sequence = c.audited_sequence);

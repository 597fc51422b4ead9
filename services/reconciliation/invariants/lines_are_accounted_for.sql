-- Promise 6: a line that a closed run has looked at is settled once or open, never both and never lost. Returns the
-- statements of which that is not so, with how many lines are too many or missing.
SELECT s.id AS statement_id, s.rows_taken, count(r.line) AS settled, count(o.line) AS open
FROM reconciliation.statements s
JOIN reconciliation.run_statements u ON u.statement_id = s.id
JOIN reconciliation.runs n ON n.run_no = u.run_no AND n.closed_at IS NOT NULL
JOIN reconciliation.statement_lines l ON l.statement_id = s.id
LEFT JOIN reconciliation.results r ON r.statement_id = l.statement_id AND r.line = l.line
LEFT JOIN reconciliation.open_lines o ON o.statement_id = l.statement_id AND o.line = l.line
GROUP BY s.id
HAVING count(*) <> s.rows_taken OR count(r.line) + count(o.line) <> s.rows_taken;

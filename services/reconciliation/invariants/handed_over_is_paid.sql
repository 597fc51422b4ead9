-- Promise 6: a delivery whose story ends with its hand-over is paid by that, or waits for a reason, and one that ends with a
-- cancellation has nothing left that is not undone. Returns the deliveries of which that is not so.
WITH stories AS (
  SELECT delivery_id, max(sequence) AS last_sequence FROM reconciliation.delivery_changes
  GROUP BY delivery_id
)
SELECT s.delivery_id, c.state, d.waits_for, paid.id AS earnings_entry_id, undone.id AS reversal_entry_id
FROM stories s
JOIN reconciliation.delivery_changes c ON c.delivery_id = s.delivery_id AND c.sequence = s.last_sequence
LEFT JOIN reconciliation.deliveries d ON d.delivery_id = s.delivery_id
LEFT JOIN reconciliation.entries paid ON paid.delivery_id = s.delivery_id AND paid.kind = 'earnings'
LEFT JOIN reconciliation.entries undone ON undone.delivery_id = s.delivery_id AND undone.kind = 'reversal'
WHERE (c.state = 'delivered' AND d.waits_for IS NULL AND (paid.id IS NULL OR NOT (
    c.event_id = ANY (paid.event_ids) OR EXISTS (SELECT FROM reconciliation.corrections k
      JOIN reconciliation.entries e ON e.id = k.entry_id
      WHERE k.corrects = paid.id AND c.event_id = ANY (e.event_ids)))))
  OR (c.state = 'cancelled' AND paid.id IS NOT NULL AND undone.id IS NULL)
  OR (undone.id IS NOT NULL AND undone.reverses IS DISTINCT FROM paid.id);

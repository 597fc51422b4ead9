-- Promise 6: a batch is the sum of its payouts, and a payout is booked when it is paid and when that comes back, and
-- only then. Returns the batches and payouts of which that is not so.
SELECT b.batch_no, NULL AS sequence, b.paise AS stated_paise, coalesce(sum(p.paise), 0) AS found_paise
FROM reconciliation.payout_batches b LEFT JOIN reconciliation.payouts p ON p.batch_no = b.batch_no
GROUP BY b.batch_no HAVING b.paise <> coalesce(sum(p.paise), 0) OR b.payouts_count <> count(p.sequence)
UNION ALL
SELECT batch_no, sequence, paise, NULL FROM reconciliation.payouts
WHERE (state = 'sent' AND num_nonnulls(paid_entry_id, returned_entry_id) > 0)
  OR (state = 'paid' AND (paid_entry_id IS NULL OR returned_entry_id IS NOT NULL))
  OR (state = 'returned' AND (paid_entry_id IS NULL) <> (returned_entry_id IS NULL));

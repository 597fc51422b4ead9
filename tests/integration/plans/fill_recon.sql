-- Statements of a month and the runs over them, on the deliveries of fill_ledger.sql and as many that it does not know:
-- 40 statements of 1,500 lines, 20 runs of 40 chunks, the last of which is open and has the last two statements.
INSERT INTO reconciliation.mappings (source_code, version, terms, created_at, created_by)
SELECT 'source-' || lpad(s::text, 2, '0'), v, '{}', now(), 'fill'
FROM generate_series(0, 39) AS s CROSS JOIN generate_series(1, 5) AS v;
INSERT INTO reconciliation.statements (id, source_code, mapping_version, file_name, content_sha256, size_bytes,
  rows_taken, rows_refused, taken_paise, refused_paise, received_at, received_by)
SELECT md5('statement ' || s)::uuid, 'source-' || lpad(s::text, 2, '0'), 1, 'day.csv', sha256(s::text::bytea), 1, 1500,
  50, 1500, 0, now(), 'fill' FROM generate_series(0, 39) AS s;
INSERT INTO reconciliation.statement_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at)
SELECT md5('statement ' || s)::uuid, n, 'payout', 'reference', CASE WHEN n % 30 <> 0 THEN
  md5('delivery ' || s * 1500 + n)::uuid END, 'partner:' || md5('partner ' || n % 9999)::uuid, 5, now()
FROM generate_series(0, 39) AS s CROSS JOIN generate_series(1, 1500) AS n;
INSERT INTO reconciliation.refused_rows (statement_id, line, reason, said, content)
SELECT md5('statement ' || s)::uuid, n, 'DATE_MISSING', 'no date', 'row'
FROM generate_series(0, 39) AS s CROSS JOIN generate_series(1501, 1550) AS n;
INSERT INTO reconciliation.runs (run_no, tolerance_paise, tolerance_min, payout_due_min, chunks_count, entries_from,
  entries_until, as_of, opened_at, opened_by, closed_at)
SELECT r, 0, 60, 60, 40, '00000000-0000-0000-0000-000000000000', '01000000-0000-0000-0000-000000000000', now(), now(),
  'fill', CASE WHEN r < 20 THEN now() END FROM generate_series(1, 20) AS r;
INSERT INTO reconciliation.run_statements (statement_id, run_no)
SELECT md5('statement ' || s)::uuid, s / 2 + 1 FROM generate_series(0, 39) AS s;
INSERT INTO reconciliation.run_chunks (run_no, chunk, state, entries_from, entries_until, delivery_from, delivery_to,
  bucket_from, bucket_until, tallies)
SELECT r, c, CASE WHEN r < 20 THEN 'done' ELSE 'match_exact' END, '00000000-0000-0000-0000-000000000000',
  '01000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000',
  '01000000-0000-0000-0000-000000000000', 0, 65536, '{"lines": 5, "exact": 4}'
FROM generate_series(1, 20) AS r CROSS JOIN generate_series(0, 39) AS c;
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk)
SELECT md5('statement ' || s)::uuid, n, md5('delivery ' || s * 1500 + n)::uuid, 'payout',
  CASE WHEN n % 50 = 1 THEN 'overpaid' ELSE 'matched' END, 'exact', n % 50 <> 2, 5, 5, s / 2 + 1, n % 40
FROM generate_series(0, 37) AS s CROSS JOIN generate_series(1, 1500) AS n WHERE n % 30 <> 0 AND n % 50 <> 3
ORDER BY s, n;
INSERT INTO reconciliation.open_lines (statement_id, line, leg, reference, delivery_id, payee, paise, paid_at, bucket_key,
  outcome)
SELECT statement_id, line, leg, reference, delivery_id, payee, paise, paid_at, reconciliation.bucket_key(payee),
  CASE WHEN line % 2 = 0 THEN 'unknown_delivery' END
FROM reconciliation.statement_lines WHERE (line % 50 = 3 OR delivery_id IS NULL)
  AND statement_id NOT IN (md5('statement 38')::uuid, md5('statement 39')::uuid);
INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key, outcome)
SELECT md5('open delivery ' || d)::uuid, 'payout', 'partner:' || md5('partner ' || d)::uuid, 5, now(),
  reconciliation.bucket_key('partner:' || md5('partner ' || d)::uuid),
  CASE d % 10 WHEN 0 THEN 'late_adjustment' WHEN 1 THEN 'missing_payout' END FROM generate_series(0, 9999) AS d;
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, statement_id, line, payee, expected_paise,
  paid_paise, evidence, bucket_key, settled_run_no)
SELECT md5('discrepancy ' || d)::uuid, d % 19 + 1, CASE d % 3 WHEN 0 THEN 'missing_payout' WHEN 1 THEN 'overpaid' ELSE
  'unknown_delivery' END, 'payout', md5('delivery ' || d)::uuid, CASE WHEN d % 3 > 0 THEN md5('statement 1')::uuid END,
  CASE WHEN d % 3 > 0 THEN d END, 'partner:' || md5('partner ' || d)::uuid, 5, 6, '{}',
  reconciliation.bucket_key('partner:' || md5('partner ' || d)::uuid), CASE WHEN d % 2 = 0 THEN 20 END
FROM generate_series(1, 6000) AS d;
-- Half of the lines that are open, and of a delivery, are of a leg that was paid too little; half of that is written off.
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk)
SELECT md5('short')::uuid, row_number() OVER (ORDER BY delivery_id), delivery_id, leg, 'underpaid', 'classified', true, 5, 2,
  19, 39 FROM reconciliation.open_lines WHERE line % 100 = 3 AND delivery_id IS NOT NULL;
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, statement_id, line, payee, expected_paise,
  paid_paise, evidence, bucket_key, is_resolved)
SELECT md5('short ' || r.line)::uuid, r.run_no, r.outcome, r.leg, r.delivery_id, r.statement_id, r.line, o.payee, 5, 2, '{}',
  o.bucket_key, r.line % 2 = 0
FROM reconciliation.results r JOIN reconciliation.open_lines o ON o.delivery_id = r.delivery_id
WHERE r.statement_id = md5('short')::uuid;
-- Some are undone.
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, reverses, postings_count, occurred_at, booked_at)
SELECT md5('reversal ' || d)::uuid, 'reversal', md5('undone ' || d)::uuid, ARRAY[md5('undone ' || d)::uuid],
  md5('delivery ' || d)::uuid, md5('merchant ' || d % 100)::uuid, md5('partner ' || d % 9999)::uuid, 1,
  md5('card 0 1')::uuid, md5('entry ' || d)::uuid, 0, now(), now()
FROM generate_series(1, 11999, 50) AS d WHERE d % 10 <> 0;
-- The desk was at half of the discrepancies: 400 resolutions, some of them proposed; three rows of the trail for each case.
INSERT INTO reconciliation.resolutions (id, kind, cases_count, amount_paise, limit_paise, note, proposed_by, proposed_at, outcome,
  decided_by, decided_at)
SELECT md5('resolution ' || r)::uuid, 'write_off', 1, 5, 1, 'fill', 'fill', now(), CASE WHEN r % 10 > 0 THEN 'approved' END,
  CASE WHEN r % 10 > 0 THEN 'other' END, CASE WHEN r % 10 > 0 THEN now() END FROM generate_series(0, 399) AS r;
INSERT INTO reconciliation.audit_trail (sequence, at, actor, action, subject, content, previous_sha256, sha256)
SELECT a, now(), 'fill', 'comment', 'cases/' || md5('discrepancy ' || a % 3000 + 1)::uuid, '{}', '', ''
FROM generate_series(1, 9000) AS a;
INSERT INTO reconciliation.cases (case_id, state, assignee, resolution_id, audited_sequence)
SELECT md5('discrepancy ' || d)::uuid, CASE d % 4 WHEN 0 THEN 'assigned' WHEN 1 THEN 'proposed' ELSE 'resolved' END,
  'operator ' || d % 40, md5('resolution ' || d % 400)::uuid, d FROM generate_series(1, 3000) AS d;
INSERT INTO reconciliation.cases (case_id, state, assignee, resolution_id, audited_sequence)
SELECT d.id, 'resolved', 'operator 1', md5('resolution 1')::uuid, 1 FROM reconciliation.discrepancies d
WHERE d.statement_id = md5('short')::uuid AND d.is_resolved;
INSERT INTO reconciliation.idempotency_keys (scope, key, request_sha256, response, created_at)
SELECT 'ops:fill', k::text, sha256('x'), '', now() - k * interval '1 minute' FROM generate_series(1, 9000) AS k;
-- Years of what is resolved, of the first runs.
INSERT INTO reconciliation.discrepancies (id, run_no, class, leg, delivery_id, statement_id, line, payee, expected_paise,
  paid_paise, evidence, bucket_key)
SELECT md5('discrepancy ' || d)::uuid, d % 4 + 1, 'overpaid', 'payout', md5('delivery ' || d)::uuid,
  md5('statement 2')::uuid, d, 'partner:' || md5('partner ' || d)::uuid, 5, 6, '{}', 65000 FROM generate_series(6001, 40000) AS d;
INSERT INTO reconciliation.cases (case_id, state, assignee, resolution_id, audited_sequence)
SELECT md5('discrepancy ' || d)::uuid, 'resolved', 'operator ' || d % 40, md5('resolution ' || d % 400)::uuid, 1
FROM generate_series(6001, 40000) AS d WHERE d % 400 <> 7;
UPDATE reconciliation.discrepancies d SET is_resolved = true
WHERE d.statement_id = md5('statement 2')::uuid
  OR d.id IN (SELECT c.case_id FROM reconciliation.cases c WHERE c.state = 'resolved');

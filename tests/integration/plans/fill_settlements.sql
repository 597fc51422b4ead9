-- Half a year of weekly cycles, the last of which is open, over the entries of fill_ledger.sql: a statement of each of
-- 1,000 parties in each closed cycle, and payouts of them. 300 lines are held, the last 200 payouts are under way.
INSERT INTO reconciliation.settlement_cycles (cycle_no, calendar, previous_no, from_at, until_at, entries_from,
  entries_until, own_cities, state, opened_at, opened_by, closed_at)
SELECT c, '', nullif(c - 1, 0), now() - (32 - c) * interval '7 days', now() - (31 - c) * interval '7 days',
  '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{}',
  CASE WHEN c < 31 THEN 'closed' ELSE 'gather' END, now(), 'fill', CASE WHEN c < 31 THEN now() END
FROM generate_series(1, 31) AS c;
-- What one entry in fifty adds is in no statement yet.
INSERT INTO reconciliation.settlement_lines (cycle_no, party, entry_id, kind, work_paise, tax_paise, cash_paise,
  paid_paise, paise, merchant_id)
SELECT d % 31 + 1, party, md5('entry ' || d)::uuid, 'delivery', 5, 0, 0, 0, 5, merchant_id
FROM generate_series(0, 11999) AS d CROSS JOIN LATERAL (VALUES
  ('partner:' || md5('partner ' || d % 9999)::uuid, NULL), ('merchant:' || md5('merchant ' || d % 100)::uuid,
    md5('merchant ' || d % 100)::uuid)) AS p (party, merchant_id) WHERE d % 10 <> 0 AND d % 50 <> 7;
INSERT INTO reconciliation.settlement_statements (cycle_no, party, opening_paise, lines_count, work_paise, tax_paise,
  cash_paise, paid_paise, closing_paise, held_paise, unsettled_paise, payable_paise, content_sha256)
SELECT c, 'partner:' || md5('partner ' || p)::uuid, 0, 1, 5 * (p % 3), 0, 0, 0, 5 * (p % 3), 0, 0, 5 * (p % 3),
  sha256('x') FROM generate_series(1, 30) AS c CROSS JOIN generate_series(0, 999) AS p;
INSERT INTO reconciliation.settlement_top_ups (entry_id, cycle_no, partner_id, on_duty_s, earned_paise,
  guarantee_paise_per_h, paise)
SELECT md5('top-up ' || p)::uuid, 5, md5('partner ' || p)::uuid, 3600, 1, 6, 5 FROM generate_series(0, 2999) AS p;
INSERT INTO reconciliation.settlement_runs (run_no, booked_at) SELECT r, now() FROM generate_series(1, 18) AS r;
INSERT INTO reconciliation.settlement_payments (entry_id, run_no, party, leg, paise)
SELECT md5('payment ' || p)::uuid, 5, 'partner:' || md5('partner ' || p)::uuid, 'payout', 5
FROM generate_series(0, 2999) AS p;
-- One a second, the last ones in no statement yet.
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, calendar, postings_count, occurred_at, booked_at)
SELECT md5('payment ' || p)::uuid, 'payment', md5('paid ' || p)::uuid, ARRAY[md5('paid ' || p)::uuid], '', 2,
  now() - p * interval '1 second', now() - p * interval '1 second' FROM generate_series(0, 2999) AS p;
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, booked_at)
SELECT md5('payment ' || p)::uuid, line, 2, account, 'paid', paise, now() - p * interval '1 second'
FROM generate_series(0, 2999) AS p CROSS JOIN LATERAL (VALUES
  (1, 'partner:' || md5('partner ' || p)::uuid, 5), (2, 'platform:bank', -5)) AS b (line, account, paise);
INSERT INTO reconciliation.settlement_holds (party, entry_id, state, paise, changes_count, changed_at)
SELECT 'partner:' || md5('partner ' || d % 9999)::uuid, md5('entry ' || d)::uuid,
  CASE WHEN d % 10 = 1 THEN 'held' ELSE 'released' END, 5, 2, now() FROM generate_series(1, 3000) AS d WHERE d % 10 <> 0;
INSERT INTO reconciliation.settlement_hold_changes (party, entry_id, change_no, action, state, reason, changed_at,
  changed_by)
SELECT party, entry_id, n, 'hold', 'held', 'why', now(), 'fill' FROM reconciliation.settlement_holds
CROSS JOIN generate_series(1, 2) AS n;
INSERT INTO reconciliation.payout_batches (batch_no, cycle_no, payouts_count, paise, created_at, created_by)
SELECT c, c, 1000, 5000, now(), 'fill' FROM generate_series(1, 29) AS c;
INSERT INTO reconciliation.payouts (batch_no, sequence, reference, party, paise, state, is_open, paid_entry_id, changed_at)
SELECT c, p + 1, 'LM' || lpad(c::text, 6, '0') || lpad((p + 1)::text, 8, '0'),
  'partner:' || md5('partner ' || p)::uuid, 5, 'paid', c = 29 AND p < 200, md5('payout ' || c || ' ' || p)::uuid, now()
FROM generate_series(1, 29) AS c CROSS JOIN generate_series(0, 999) AS p;
INSERT INTO reconciliation.statement_lines (statement_id, line, leg, reference, payee, paise, paid_at)
SELECT md5('bank ' || c)::uuid, p + 1, 'payout', 'LM' || lpad(c::text, 6, '0') || lpad((p + 1)::text, 8, '0'),
  'network:bank', 5, now() FROM generate_series(1, 29) AS c CROSS JOIN generate_series(0, 999) AS p;
-- Some legs of theirs are open.
INSERT INTO reconciliation.open_legs (delivery_id, leg, payee, paise, confirmed_at, bucket_key)
SELECT md5('delivery ' || d)::uuid, 'payout', party, 5, now(), reconciliation.bucket_key(party)
FROM generate_series(0, 11999) AS d CROSS JOIN LATERAL (SELECT 'partner:' || md5('partner ' || d % 9999)::uuid) AS p (party)
WHERE d % 10 = 3;

-- The ledger of an hour: 12,000 deliveries that were handed over, 1,200 of which wait; four versions of each of 10,000
-- partners; the company's rate cards. Triggers and foreign keys are off. Ten accounts have most of the postings.
INSERT INTO reconciliation.rate_cards (id, city_code, vehicle, network_code, version, effective_from, terms, created_at,
  created_by)
SELECT md5('card ' || c || ' ' || v)::uuid, 'C' || lpad(c::text, 2, '0'), 'motorcycle', '', v,
  now() - (100 - v) * interval '1 day', '{"peaks": [], "surges": []}', now(), 'fill'
FROM generate_series(0, 24) AS c CROSS JOIN generate_series(1, 60) AS v;
INSERT INTO reconciliation.partner_versions (partner_id, version, event_id, vehicle, network_code, changed_at)
SELECT md5('partner ' || p)::uuid, v, md5('partner event ' || p || ' ' || v)::uuid, 'motorcycle', '',
  now() - (20 - v) * interval '1 day'
FROM generate_series(0, 9999) AS p CROSS JOIN generate_series(1, 4) AS v;
INSERT INTO reconciliation.deliveries (delivery_id, waits_for, looked_at)
SELECT md5('delivery ' || d)::uuid, CASE WHEN d % 10 = 0 THEN 'RATE_CARD_MISSING' END,
  CASE WHEN d % 10 = 0 THEN now() - d * interval '1 second' END
FROM generate_series(0, 11999) AS d;
INSERT INTO reconciliation.delivery_changes (delivery_id, sequence, event_id, state, occurred_at)
SELECT md5('delivery ' || d)::uuid, s, md5('event ' || d || ' ' || s)::uuid, 'assigned', now()
FROM generate_series(0, 11999) AS d CROSS JOIN generate_series(1, 6) AS s;
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, postings_count, occurred_at, booked_at)
SELECT md5('entry ' || d)::uuid, 'earnings', md5('event ' || d || ' 6')::uuid, ARRAY[md5('event ' || d || ' 6')::uuid],
  md5('delivery ' || d)::uuid, md5('merchant ' || d % 100)::uuid, md5('partner ' || d % 9999)::uuid, 1,
  md5('card 0 1')::uuid, CASE d WHEN 2 THEN 9 ELSE 4 END, now(), now() - d * interval '1 second'
FROM generate_series(0, 11999) AS d WHERE d % 10 <> 0;
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, merchant_id, booked_at)
SELECT md5('entry ' || d)::uuid, line, 4, account, 'earnings', 5,
  CASE WHEN line = 3 THEN md5('merchant ' || d % 100)::uuid END, now() - d * interval '1 second'
FROM generate_series(0, 11999) AS d CROSS JOIN LATERAL (VALUES (1, 'platform:earnings'),
  (2, 'partner:' || md5('partner ' || d % 9999)::uuid), (3, 'merchant:' || md5('merchant ' || d % 100)::uuid),
  (4, 'tax:gst')) AS p (line, account) WHERE d % 10 <> 0 AND d <> 2;

-- Twenty thousand customers of a thousand merchants, fifty thousand deliveries with two messages each and an attempt for
-- each message. The first merchant has a tenth of all. Run as the owner, after fill.sql.
SELECT setseed(0.5);

INSERT INTO notification.merchants (id, name) SELECT md5('merchant ' || m)::uuid, 'Merchant' FROM generate_series(0, 19999) AS m;
INSERT INTO notification.cities (code, name, time_zone)
SELECT 'C' || lpad(c::text, 2, '0'), 'City', 'Asia/Kolkata' FROM generate_series(0, 24) AS c;
INSERT INTO notification.recipients (id, audience, merchant_id, owner_id, lookup_hash, name_sealed, language, time_zone,
  quiet_from_min, quiet_until_min, created_at, updated_at)
SELECT md5('customer ' || r)::uuid, 'customer', md5('merchant ' || CASE WHEN r % 10 = 0 THEN 0 ELSE r % 1000 END)::uuid, NULL,
  sha256(convert_to('customer ' || r, 'UTF8')), '\x00'::bytea, 'en', 'Asia/Kolkata', 1260, 480, now(), now()
FROM generate_series(0, 19999) AS r
UNION ALL
SELECT md5('owner ' || m)::uuid, 'merchant', md5('merchant ' || m)::uuid, md5('merchant ' || m)::uuid, NULL, '\x00'::bytea, 'en',
  'Asia/Kolkata', 1260, 480, now(), now()
FROM generate_series(0, 999) AS m;
INSERT INTO notification.addresses (recipient_id, channel, merchant_id, address_sealed, address_hash)
SELECT id, channel, merchant_id, '\x00'::bytea, sha256(convert_to(id::text || channel, 'UTF8'))
FROM notification.recipients CROSS JOIN unnest(ARRAY['sms', 'email']) AS channel;
INSERT INTO notification.suppressions (id, channel, address_hash, address_sealed, reason, created_at)
SELECT uuidv7(), channel, address_hash, '\x00'::bytea, 'HARD_BOUNCE', now() FROM notification.addresses WHERE random() < 0.05;
INSERT INTO notification.deliveries (id, merchant_id, customer_id, city_code, reference, drop_from, drop_until)
SELECT uuidv7(-age), md5('merchant ' || CASE WHEN d % 10 = 0 THEN 0 ELSE d % 1000 END)::uuid, md5('customer ' || d % 20000)::uuid,
  'C00', d::text, now() - age, now() - age + interval '2 hours'
FROM (SELECT d, (50000 - d) * interval '10 seconds' AS age FROM generate_series(1, 50000) AS d) AS dated;
-- Of the last thousand deliveries, messages wait: some are due, some are for the morning.
INSERT INTO notification.messages (id, recipient_id, delivery_id, status, channel, merchant_id, audience, language, variables,
  priority, digestible, state, planned_at, send_after, expires_at, attempts, attempt_id, provider, updated_at)
SELECT uuidv7(), d.customer_id, d.id, 'delivered', channel, d.merchant_id, 'customer', 'en', '{}', 1,
  waits AND channel = 'email' AND d.reference::int % 2 = 0, CASE WHEN waits THEN 'planned' ELSE 'sent' END, now(),
  CASE WHEN d.reference::int % 4 < 2 THEN now() - interval '1 second' ELSE now() + interval '8 hours' END,
  now() + interval '1 day', CASE WHEN waits THEN 0 ELSE 1 END, CASE WHEN NOT waits THEN uuidv7() END, 'twilio', now()
FROM notification.deliveries d CROSS JOIN unnest(ARRAY['sms', 'email']) AS channel
CROSS JOIN LATERAL (SELECT d.reference::int > 49000 AS waits) AS w;
INSERT INTO notification.attempts (id, message_id, merchant_id, channel, provider, provider_message_id, state, requested_by,
  content_sealed, started_at, lease_until, next_look_at)
SELECT attempt_id, id, merchant_id, channel, 'twilio', attempt_id::text,
  CASE WHEN dice < 0.001 THEN 'sending' WHEN dice < 0.003 THEN 'outcome_unknown' ELSE 'sent' END, '', '\x00'::bytea, now(), now(),
  CASE WHEN dice BETWEEN 0.001 AND 0.003 THEN now() END
FROM (SELECT *, random() AS dice FROM notification.messages WHERE attempt_id IS NOT NULL) AS thrown;
INSERT INTO notification.templates (id, merchant_id, status, audience, channel, language, version, subject, body, created_at,
  retired_at)
SELECT uuidv7(), CASE WHEN m > 0 THEN md5('merchant ' || m) ELSE repeat('0', 32) END::uuid, 'delivered', 'customer', 'sms', 'en', version, '', 'text',
  now(), CASE WHEN version < 4 THEN now() END
FROM generate_series(0, 999) AS m CROSS JOIN generate_series(1, 4) AS version;
INSERT INTO notification.receipts (digest, received_at)
SELECT sha256(convert_to(r::text, 'UTF8')), now() - r * interval '1 minute' FROM generate_series(1, 20000) AS r;
INSERT INTO notification.inbox (id, merchant_id, channel, address_sealed, content_sealed, received_at)
SELECT uuidv7(), md5('merchant ' || i % 1000)::uuid, 'sms', '\x00'::bytea, '\x00'::bytea, now() FROM generate_series(1, 20000) AS i;
INSERT INTO notification.webhooks (merchant_id, secret_sealed, failures, updated_at)
SELECT md5('merchant ' || m)::uuid, '\x00'::bytea, 0, now() FROM generate_series(0, 899) AS m;
INSERT INTO notification.seen_events (consumer, event_id) SELECT 'notification_planner', uuidv7() FROM generate_series(1, 20000);
-- Outages: ten networks, each of which was down for a while every few days.
INSERT INTO notification.network_partners (partner_id, network_code, version)
SELECT md5('partner ' || p)::uuid, CASE WHEN p % 2 = 0 THEN '' ELSE 'network' || p % 10 END, 1 FROM generate_series(1, 20000) AS p;
INSERT INTO notification.withdrawn_offers (offer_id, delivery_id, merchant_id, network_code, withdrawn_at, rematched_at)
SELECT uuidv7(-w * interval '1 minute'), md5('withdrawn ' || w)::uuid, md5('merchant ' || w % 1000)::uuid, 'network' || w % 10, now() - w * interval '1 minute',
  CASE WHEN w % 100 > 0 THEN now() END
FROM generate_series(1, 50000) AS w;
INSERT INTO notification.alerts (id, kind, subject, state, symptoms, what, action, impact, since, opened_at, recovered_at, version)
SELECT uuidv7(-age), 'network', 'network:network' || a, CASE WHEN a > 20 THEN 'recovered' ELSE 'open' END, '{circuit_open}', '', '', '{}',
  now() - age, now() - age, CASE WHEN a > 20 THEN now() END, 1
FROM (SELECT a, a * interval '1 hour' AS age FROM generate_series(1, 20000) AS a) AS dated;
INSERT INTO notification.outage_news (merchant_id, asked_at)
SELECT md5('merchant ' || m)::uuid, now() FROM generate_series(0, 899) AS m;

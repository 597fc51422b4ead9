-- A million deliveries of twelve weeks, of merchants and cities of very different size, and all that hangs on them. Run as
-- the owner on a fresh schema. The first merchant has a sixth of all, the first city a fifth.
SELECT setseed(0.5);

CREATE FUNCTION pg_temp.merchant(place integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5('merchant ' || place)::uuid;
CREATE FUNCTION pg_temp.city(place integer) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'C' || lpad(place::text, 2, '0');
CREATE FUNCTION pg_temp.partner(city integer, place integer) RETURNS uuid LANGUAGE sql IMMUTABLE
  RETURN md5('partner ' || city || ' ' || place)::uuid;
-- A city of rank c has partners_of(c) partners, 45,000 in all.
CREATE FUNCTION pg_temp.partners_of(city integer) RETURNS integer LANGUAGE sql IMMUTABLE
  RETURN (45000 * (sqrt((city + 1) / 25.0) - sqrt(city / 25.0)))::integer;

INSERT INTO assignment.cities (code, name, time_zone, center_lat, center_lng, radius_m, window_ms, window_deliveries_max,
  pickup_distance_m_max, offer_ttl_s, dispatch_horizon_s, zone_penalty_s, created_at)
SELECT pg_temp.city(c), 'City', 'Asia/Kolkata', 12.97, 77.59, 30000, 2000, 500, 8000, 60, 1800, 300, now()
FROM generate_series(0, 24) AS c;
INSERT INTO assignment.merchants (id, name, reference, created_at)
SELECT pg_temp.merchant(m), 'Merchant', 'merchant-' || m, now() FROM generate_series(0, 19999) AS m;
INSERT INTO assignment.merchant_partners (merchant_id, allowed, denied, version, updated_at)
SELECT pg_temp.merchant(m), '{}', ARRAY[pg_temp.partner(0, m)], 1, now() FROM generate_series(0, 4999) AS m;
INSERT INTO assignment.partner_networks (code, health, updated_at)
SELECT 'network-' || n, 1, now() FROM generate_series(0, 19) AS n;
INSERT INTO assignment.partners (id, reference, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max,
  side_mm_max, home_lat, home_lng, acceptance, availability, shift_starts, shift_ends, parcels_held, network_code,
  created_at, updated_at)
SELECT pg_temp.partner(c, p), 'partner-' || c || '-' || p, 'Asha', pg_temp.city(c), 'motorcycle', 10, 50000, 200000, 700,
  12.97, 77.59, 'by_offer', CASE WHEN random() < 0.4 THEN 'online' ELSE 'offline' END::assignment.availability,
  ARRAY[now() - interval '4 hours'], ARRAY[now() + interval '4 hours'], (random() * 2)::integer, 'network-' || p % 20,
  now(), now()
FROM generate_series(0, 24) AS c CROSS JOIN LATERAL generate_series(0, pg_temp.partners_of(c) - 1) AS p;

-- Twelve weeks up to now, oldest first; what is younger than two days is under way.
CREATE TEMP TABLE planned AS
SELECT uuidv7(-age) AS id, now() - age AS created_at, age < interval '2 days' AS young, place,
  pg_temp.merchant(merchant) AS merchant_id, pg_temp.city(city) AS city_code,
  pg_temp.partner(city, (random() * (partners - 1))::integer) AS partner_id,
  CASE WHEN age > interval '2 days' THEN
    CASE WHEN dice < 0.95 THEN 'delivered' WHEN dice < 0.985 THEN 'cancelled' ELSE 'returned' END
  ELSE
    CASE WHEN dice < 0.1 THEN 'pending' WHEN dice < 0.15 THEN 'offered' WHEN dice < 0.3 THEN 'assigned'
      WHEN dice < 0.4 THEN 'picked_up' WHEN dice < 0.6 THEN 'out_for_delivery' WHEN dice < 0.95 THEN 'delivered'
      WHEN dice < 0.97 THEN 'attempt_failed' WHEN dice < 0.98 THEN 'returning' ELSE 'cancelled' END
  END::assignment.delivery_state AS state
FROM (
  SELECT place, (1000001 - place) * interval '84 days' / 1000000 AS age, random() AS dice,
    floor(20000 * random() ^ 5.5)::integer AS merchant, floor(25 * random() ^ 2)::integer AS city
  FROM generate_series(1, 1000000) AS place) AS thrown
JOIN (SELECT c AS city, pg_temp.partners_of(c) AS partners FROM generate_series(0, 24) AS c) AS sizes USING (city);

INSERT INTO assignment.deliveries (id, merchant_id, merchant_reference, city_code, pickup_lat, pickup_lng, drop_lat, drop_lng,
  length_mm, width_mm, height_mm, weight_g, ready_at, drop_from, drop_until, cash_on_delivery_minor,
  cash_on_delivery_currency, state, partner_id, match_after, state_at, created_at, updated_at)
SELECT id, merchant_id, CASE WHEN place % 2 = 0 THEN id::text END, city_code, 12.97, 77.59, 12.93, 77.62, 300, 200, 150, 1200,
  created_at, created_at, created_at + interval '4 hours', CASE WHEN place % 3 = 0 THEN 50000 END,
  CASE WHEN place % 3 = 0 THEN 'INR' END, state, CASE WHEN state NOT IN ('pending', 'cancelled') THEN partner_id END,
  -- Half of the pending ones are due.
  CASE WHEN place % 2 = 0 THEN created_at ELSE now() + interval '1 hour' END, created_at, created_at, created_at
FROM planned;
INSERT INTO assignment.delivery_references (merchant_id, reference, delivery_id)
SELECT merchant_id, id::text, id FROM planned WHERE place % 2 = 0;
INSERT INTO assignment.delivery_changes (delivery_id, sequence, merchant_id, to_state, actor, occurred_at, recorded_at)
SELECT id, step, merchant_id, 'pending', 'merchant', created_at, created_at
FROM planned CROSS JOIN LATERAL generate_series(1, CASE WHEN young THEN 6 ELSE 1 END) AS step;
-- One live or ended offer to each delivery with a partner, and for one in twenty one that was rejected before.
INSERT INTO assignment.offers (id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g,
  volume_cm3, offered_at, expires_at, ended_at)
SELECT uuidv7(created_at - now() + interval '1 minute'), id, merchant_id, partner_id, id, city_code, became, 100, 1200, 9000,
  created_at, now() + (place % 2 - 0.5) * interval '2 hours',
  CASE WHEN became NOT IN ('open', 'accepted') THEN created_at + interval '1 hour' END
FROM planned CROSS JOIN LATERAL (
  SELECT CASE WHEN state IN ('delivered', 'returned') THEN 'completed' WHEN state = 'offered' THEN 'open'
    ELSE 'accepted' END::assignment.offer_state AS became
  WHERE state NOT IN ('pending', 'cancelled')
  UNION ALL SELECT 'rejected' WHERE place % 20 = 0) AS offered;
-- What networks know of the last week's offers; one in ten of the live ones is to be told.
INSERT INTO assignment.network_offers (offer_id, delivery_id, partner_id, network_code, wish, told, due_at, created_at,
  updated_at)
SELECT o.id, o.delivery_id, o.partner_id, p.network_code,
  CASE WHEN o.ended_at IS NULL THEN 'offer' ELSE 'end' END::assignment.network_wish, 'offer',
  CASE WHEN o.ended_at IS NULL AND random() < 0.1 THEN o.offered_at END, o.offered_at, o.offered_at
FROM assignment.offers o JOIN assignment.partners p ON p.id = o.partner_id WHERE o.offered_at > now() - interval '7 days';
INSERT INTO assignment.explanations (delivery_id, merchant_id, window_id, outcome, alternatives, partners_lost,
  partners_feasible, matched_at)
SELECT id, merchant_id, id, CASE WHEN state = 'pending' THEN 'TOO_FAR' ELSE 'ASSIGNED' END, '[]', '{}', 1, created_at
FROM planned WHERE place % 2 = 0;
INSERT INTO assignment.windows (id, city_code, closed_at, deliveries, partners, feasible_pairs, assigned, conflicts, cost_s,
  build_ms, solve_ms, commit_ms)
SELECT id, city_code, created_at, 1, 1, 1, 1, 0, 1, 1, 1, 1 FROM planned WHERE place % 5 = 0;
INSERT INTO assignment.idempotency_keys (scope, key, merchant_id, method, request_sha256, response, created_at)
SELECT 'merchant:' || merchant_id, id::text, merchant_id, '/Create', '\x00', '\x00', created_at
FROM planned WHERE place > 800000;
INSERT INTO gateway.api_keys (id, key_sha256, name, role, created_at)
SELECT uuidv7(), convert_to('key ' || k, 'UTF8'), 'Key', 'ops', now() FROM generate_series(1, 20000) AS k;
INSERT INTO assignment.matchers (id, alive_until) SELECT md5('matcher ' || m)::uuid, now() + interval '1 hour'
FROM generate_series(0, 3) AS m;
INSERT INTO assignment.city_leases (city_code, holder, fence, expires_at)
SELECT pg_temp.city(c), md5('matcher ' || c % 4)::uuid, 1, now() + interval '1 hour' FROM generate_series(0, 24) AS c;

-- The assignment service's tables, roles and row-level security.
--
-- Roles: assignment_tenant sees the merchants named in the transaction's lastmile.merchant_ids and nothing else;
-- assignment_operator sees every merchant. The api logs in as assignment_api, which inherits neither: each
-- transaction chooses one. A forgotten choice therefore reads and writes nothing.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['assignment_tenant', 'assignment_operator', 'assignment_api', 'assignment_matcher'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE assignment_api NOINHERIT;
GRANT assignment_tenant, assignment_operator TO assignment_api WITH INHERIT FALSE, SET TRUE;
GRANT assignment_operator TO assignment_matcher WITH INHERIT TRUE, SET TRUE;
GRANT USAGE ON SCHEMA assignment TO assignment_tenant, assignment_operator, assignment_api;

CREATE FUNCTION assignment.current_merchant_ids() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(nullif(current_setting('lastmile.merchant_ids', true), ''), ',')::uuid[];

CREATE TYPE assignment.vehicle AS ENUM ('on_foot', 'bicycle', 'motorcycle', 'three_wheeler', 'car', 'van');
CREATE TYPE assignment.availability AS ENUM ('online', 'offline');
CREATE TYPE assignment.acceptance AS ENUM ('by_offer', 'automatic');
CREATE TYPE assignment.delivery_state AS ENUM (
  'pending', 'offered', 'assigned', 'picked_up', 'out_for_delivery', 'delivered', 'attempt_failed', 'returning',
  'returned', 'cancelled');
CREATE TYPE assignment.offer_state AS ENUM ('open', 'accepted', 'rejected', 'expired', 'withdrawn', 'completed');
CREATE TYPE assignment.actor AS ENUM ('merchant', 'partner', 'ops', 'matcher');

CREATE TABLE assignment.cities (
  code text PRIMARY KEY,
  name text NOT NULL,
  time_zone text NOT NULL,
  center_lat double precision NOT NULL,
  center_lng double precision NOT NULL,
  radius_m integer NOT NULL CHECK (radius_m > 0),
  window_ms integer NOT NULL CHECK (window_ms > 0),
  window_deliveries_max integer NOT NULL CHECK (window_deliveries_max > 0),
  pickup_distance_m_max integer NOT NULL CHECK (pickup_distance_m_max > 0),
  offer_ttl_s integer NOT NULL CHECK (offer_ttl_s > 0),
  dispatch_horizon_s integer NOT NULL CHECK (dispatch_horizon_s >= 0),
  zone_penalty_s integer NOT NULL CHECK (zone_penalty_s >= 0),
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL
);

CREATE TABLE assignment.merchants (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  reference text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);

CREATE TABLE assignment.partners (
  id uuid PRIMARY KEY,
  reference text UNIQUE,
  display_name text NOT NULL,
  city_code text NOT NULL REFERENCES assignment.cities (code),
  vehicle assignment.vehicle NOT NULL,
  parcels_max integer NOT NULL,
  weight_g_max bigint NOT NULL,
  volume_cm3_max bigint NOT NULL,
  side_mm_max integer NOT NULL,
  home_lat double precision NOT NULL,
  home_lng double precision NOT NULL,
  preferred_zones text[] NOT NULL DEFAULT '{}',
  acceptance assignment.acceptance NOT NULL,
  availability assignment.availability NOT NULL,
  -- Parallel arrays: slot i is [shift_starts[i], shift_ends[i]), ordered, without overlap.
  shift_starts timestamptz[] NOT NULL DEFAULT '{}',
  shift_ends timestamptz[] NOT NULL DEFAULT '{}',
  parcels_held integer NOT NULL DEFAULT 0,
  weight_g_held bigint NOT NULL DEFAULT 0,
  volume_cm3_held bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  -- The last line of defence of promise 1: no code path can hold a partner above its capacity.
  CONSTRAINT partner_parcels CHECK (parcels_held BETWEEN 0 AND parcels_max),
  CONSTRAINT partner_weight CHECK (weight_g_held BETWEEN 0 AND weight_g_max),
  CONSTRAINT partner_volume CHECK (volume_cm3_held BETWEEN 0 AND volume_cm3_max),
  CONSTRAINT partner_shift_slots CHECK (cardinality(shift_starts) = cardinality(shift_ends))
);
-- Lists by city, and the matcher's read of a city's partners who may take work.
CREATE INDEX partners_by_city ON assignment.partners (city_code, id);
CREATE INDEX partners_online ON assignment.partners (city_code) WHERE availability = 'online';

CREATE TABLE assignment.deliveries (
  id uuid NOT NULL,
  merchant_id uuid NOT NULL REFERENCES assignment.merchants (id),
  merchant_reference text,
  city_code text NOT NULL REFERENCES assignment.cities (code),
  pickup_lat double precision NOT NULL,
  pickup_lng double precision NOT NULL,
  drop_lat double precision NOT NULL,
  drop_lng double precision NOT NULL,
  length_mm integer NOT NULL CHECK (length_mm > 0),
  width_mm integer NOT NULL CHECK (width_mm > 0),
  height_mm integer NOT NULL CHECK (height_mm > 0),
  -- Rounded up, so that what is held never understates what is carried.
  volume_cm3 bigint NOT NULL GENERATED ALWAYS AS ((length_mm::bigint * width_mm * height_mm + 999) / 1000) STORED,
  weight_g integer NOT NULL CHECK (weight_g > 0),
  ready_at timestamptz NOT NULL,
  drop_from timestamptz NOT NULL,
  drop_until timestamptz NOT NULL CHECK (drop_until > drop_from),
  declared_value_minor bigint CHECK (declared_value_minor >= 0),
  declared_value_currency text,
  cash_on_delivery_minor bigint CHECK (cash_on_delivery_minor >= 0),
  cash_on_delivery_currency text,
  -- Empty means any vehicle that the parcel fits in.
  vehicles assignment.vehicle[] NOT NULL DEFAULT '{}',
  state assignment.delivery_state NOT NULL,
  partner_id uuid,
  unassigned_reason text,
  -- The matcher leaves a pending delivery alone until then.
  match_after timestamptz NOT NULL,
  match_attempts integer NOT NULL DEFAULT 0,
  attempts_failed integer NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 1,
  state_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT delivery_declared_value CHECK ((declared_value_minor IS NULL) = (declared_value_currency IS NULL)),
  CONSTRAINT delivery_cash CHECK ((cash_on_delivery_minor IS NULL) = (cash_on_delivery_currency IS NULL)),
  CONSTRAINT delivery_partner CHECK (
    (state IN ('pending') AND partner_id IS NULL) OR state = 'cancelled'
    OR (state NOT IN ('pending', 'cancelled') AND partner_id IS NOT NULL))
) PARTITION BY RANGE (id);
-- Lists are ordered by id, which is the order of creation.
CREATE INDEX deliveries_by_merchant ON assignment.deliveries (merchant_id, id);
CREATE INDEX deliveries_by_city ON assignment.deliveries (city_code, id);
CREATE INDEX deliveries_by_partner ON assignment.deliveries (partner_id, id) WHERE partner_id IS NOT NULL;
-- The matcher's queue.
CREATE INDEX deliveries_to_match ON assignment.deliveries (city_code, match_after) WHERE state = 'pending';

-- A merchant's own names for its deliveries: unique, which a table partitioned by id cannot say itself.
CREATE TABLE assignment.delivery_references (
  merchant_id uuid NOT NULL,
  reference text NOT NULL,
  delivery_id uuid NOT NULL,
  PRIMARY KEY (merchant_id, reference)
);

CREATE TABLE assignment.delivery_changes (
  delivery_id uuid NOT NULL,
  sequence bigint NOT NULL,
  merchant_id uuid NOT NULL,
  from_state assignment.delivery_state,
  to_state assignment.delivery_state NOT NULL,
  actor assignment.actor NOT NULL,
  partner_id uuid,
  occurred_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  lat double precision,
  lng double precision,
  reason text NOT NULL DEFAULT '',
  note text NOT NULL DEFAULT '',
  PRIMARY KEY (delivery_id, sequence)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE assignment.offers (
  id uuid PRIMARY KEY,
  delivery_id uuid NOT NULL,
  merchant_id uuid NOT NULL,
  partner_id uuid NOT NULL REFERENCES assignment.partners (id),
  window_id uuid NOT NULL,
  city_code text NOT NULL,
  state assignment.offer_state NOT NULL,
  cost_s double precision NOT NULL,
  -- What the partner's held counters give back when it ends.
  weight_g integer NOT NULL,
  volume_cm3 bigint NOT NULL,
  offered_at timestamptz NOT NULL,
  expires_at timestamptz,
  answered_at timestamptz,
  ended_at timestamptz,
  reason text NOT NULL DEFAULT '',
  CONSTRAINT offer_ended CHECK ((ended_at IS NULL) = (state IN ('open', 'accepted')))
);
-- Promise 1: a delivery has at most one live assignment, under any concurrency.
CREATE UNIQUE INDEX offers_live ON assignment.offers (delivery_id) WHERE ended_at IS NULL;
CREATE INDEX offers_by_delivery ON assignment.offers (delivery_id, id);
CREATE INDEX offers_by_partner ON assignment.offers (partner_id, id);
CREATE INDEX offers_by_city ON assignment.offers (city_code, id);
CREATE INDEX offers_to_expire ON assignment.offers (city_code, expires_at) WHERE state = 'open';

CREATE TABLE assignment.windows (
  id uuid PRIMARY KEY,
  city_code text NOT NULL,
  closed_at timestamptz NOT NULL,
  deliveries integer NOT NULL,
  partners integer NOT NULL,
  feasible_pairs bigint NOT NULL,
  assigned integer NOT NULL,
  conflicts integer NOT NULL,
  cost_s double precision NOT NULL,
  build_ms double precision NOT NULL,
  solve_ms double precision NOT NULL,
  commit_ms double precision NOT NULL
);
CREATE INDEX windows_by_city ON assignment.windows (city_code, id);

-- Why each delivery was matched as it was in its last window.
CREATE TABLE assignment.explanations (
  delivery_id uuid PRIMARY KEY,
  merchant_id uuid NOT NULL,
  window_id uuid NOT NULL,
  outcome text NOT NULL,
  chosen jsonb,
  alternatives jsonb NOT NULL,
  partners_lost jsonb NOT NULL,
  partners_feasible integer NOT NULL,
  matched_at timestamptz NOT NULL
);

-- Matchers share the cities: who holds which, until when. The fence grows with every new holder, and a window's
-- commit checks it, so that a holder that was thought dead cannot commit.
CREATE TABLE assignment.matchers (
  id uuid PRIMARY KEY,
  alive_until timestamptz NOT NULL
);
CREATE TABLE assignment.city_leases (
  city_code text PRIMARY KEY REFERENCES assignment.cities (code),
  holder uuid,
  fence bigint NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL
);

-- The answer of each idempotent command, stored in the transaction of its effect.
CREATE TABLE assignment.idempotency_keys (
  -- Who used the key, such as "merchant:<id>"; the same key of two callers is two keys.
  scope text NOT NULL,
  key text NOT NULL,
  merchant_id uuid,
  method text NOT NULL,
  request_sha256 bytea NOT NULL,
  response bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_age ON assignment.idempotency_keys (created_at);

-- Partitions by week of creation: UUIDv7 starts with the milliseconds since 1970, so a range of ids is a range of time.
CREATE FUNCTION assignment.uuidv7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

CREATE FUNCTION assignment.ensure_partitions(weeks_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  week timestamptz;
  parent text;
  partition_name text;
  made integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('assignment.ensure_partitions'));
  FOR week IN SELECT generate_series(date_trunc('week', now(), 'UTC') - interval '7 days',
                                     date_trunc('week', now(), 'UTC') + weeks_ahead * interval '7 days', interval '7 days') LOOP
    FOREACH parent IN ARRAY ARRAY['deliveries', 'delivery_changes'] LOOP
      partition_name := parent || '_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW');
      IF to_regclass('assignment.' || partition_name) IS NULL THEN
        EXECUTE format('CREATE TABLE assignment.%I PARTITION OF assignment.%I FOR VALUES FROM (%L) TO (%L)',
          partition_name, parent, assignment.uuidv7_floor(week), assignment.uuidv7_floor(week + interval '7 days'));
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;
REVOKE ALL ON FUNCTION assignment.ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION assignment.ensure_partitions(integer) TO assignment_operator;
-- What no week covers must not be refused: a host with a wrong clock still takes deliveries in.
CREATE TABLE assignment.deliveries_other PARTITION OF assignment.deliveries DEFAULT;
CREATE TABLE assignment.delivery_changes_other PARTITION OF assignment.delivery_changes DEFAULT;
SELECT assignment.ensure_partitions(8);

-- Row-level security: every table with a merchant's rows.
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['deliveries', 'delivery_references', 'delivery_changes', 'offers', 'explanations', 'idempotency_keys'] LOOP
    EXECUTE format('ALTER TABLE assignment.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant ON assignment.%I TO assignment_tenant USING (merchant_id = ANY (assignment.current_merchant_ids()))', table_name);
    EXECUTE format('CREATE POLICY operator ON assignment.%I TO assignment_operator USING (true)', table_name);
  END LOOP;
END $$;
ALTER TABLE assignment.merchants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON assignment.merchants TO assignment_tenant USING (id = ANY (assignment.current_merchant_ids()));
CREATE POLICY operator ON assignment.merchants TO assignment_operator USING (true);

-- Least privilege: a merchant's transactions write what a merchant may write.
GRANT SELECT ON assignment.cities, assignment.merchants, assignment.explanations TO assignment_tenant;
GRANT SELECT, INSERT, UPDATE ON assignment.deliveries TO assignment_tenant;
GRANT SELECT, INSERT ON assignment.delivery_references, assignment.delivery_changes, assignment.idempotency_keys TO assignment_tenant;
GRANT SELECT, UPDATE ON assignment.offers TO assignment_tenant;
-- A cancelled delivery gives its partner's capacity back.
GRANT SELECT (id, parcels_held, weight_g_held, volume_cm3_held, version),
  UPDATE (parcels_held, weight_g_held, volume_cm3_held, updated_at) ON assignment.partners TO assignment_tenant;
GRANT SELECT, INSERT, UPDATE ON assignment.cities, assignment.merchants, assignment.partners, assignment.deliveries,
  assignment.offers, assignment.windows, assignment.explanations TO assignment_operator;
GRANT SELECT, INSERT ON assignment.delivery_references, assignment.delivery_changes TO assignment_operator;
GRANT SELECT, INSERT, DELETE ON assignment.idempotency_keys TO assignment_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON assignment.matchers, assignment.city_leases TO assignment_matcher;

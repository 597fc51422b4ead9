-- Whatever grows with deliveries is kept by the week and dropped by the week: offers and explanations by the id of their
-- delivery, windows by their own. And the indexes of the lists that had none.

-- One week of one table. Attaching lets reads and writes of the other weeks go on, which CREATE TABLE ... PARTITION OF
-- does not. Rows of the week that came before it had a partition move in from the default one.
CREATE FUNCTION assignment.make_partition(parent text, week timestamptz) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made text := parent || '_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW');
  other text := parent || '_other';
  low uuid := assignment.uuidv7_floor(week);
  high uuid := assignment.uuidv7_floor(week + interval '7 days');
  key_column text;
  columns text;
  strays boolean;
BEGIN
  IF to_regclass(format('assignment.%I', made)) IS NOT NULL THEN
    RETURN NULL;
  END IF;
  EXECUTE format('CREATE TABLE assignment.%I (LIKE assignment.%I INCLUDING ALL)', made, parent);
  SELECT a.attname INTO key_column FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = format('assignment.%I', parent)::regclass;
  EXECUTE format('SELECT EXISTS (SELECT FROM assignment.%I WHERE %I >= $1 AND %I < $2)', other, key_column, key_column)
    INTO strays USING low, high;
  IF strays THEN
    EXECUTE format('LOCK TABLE assignment.%I IN ACCESS EXCLUSIVE MODE', other);
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
      WHERE attrelid = format('assignment.%I', parent)::regclass
        AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format(
      'WITH moved AS (DELETE FROM assignment.%I WHERE %I >= $1 AND %I < $2 RETURNING *)'
      ' INSERT INTO assignment.%I (%s) SELECT %s FROM moved', other, key_column, key_column, made, columns, columns)
      USING low, high;
  END IF;
  EXECUTE format('ALTER TABLE assignment.%I ATTACH PARTITION assignment.%I FOR VALUES FROM (%L) TO (%L)',
    parent, made, low, high);
  RETURN made;
END $$;
REVOKE ALL ON FUNCTION assignment.make_partition(text, timestamptz) FROM PUBLIC;

-- The rows stay as they are. An offer is looked up by itself in a list of weeks, and by its delivery in one.
ALTER TABLE assignment.offers RENAME TO offers_whole;
ALTER TABLE assignment.offers_whole DROP CONSTRAINT offers_pkey;
DROP INDEX assignment.offers_live, assignment.offers_by_delivery, assignment.offers_by_partner, assignment.offers_by_city,
  assignment.offers_to_expire, assignment.offers_completed, assignment.offers_on_route;
CREATE TABLE assignment.offers (
  LIKE assignment.offers_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  PRIMARY KEY (delivery_id, id),
  CONSTRAINT offers_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES assignment.partners (id)
) PARTITION BY RANGE (delivery_id);
CREATE TABLE assignment.offers_other PARTITION OF assignment.offers DEFAULT;

ALTER TABLE assignment.explanations RENAME TO explanations_whole;
ALTER TABLE assignment.explanations_whole DROP CONSTRAINT explanations_pkey;
CREATE TABLE assignment.explanations (
  LIKE assignment.explanations_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  PRIMARY KEY (delivery_id)
) PARTITION BY RANGE (delivery_id);
CREATE TABLE assignment.explanations_other PARTITION OF assignment.explanations DEFAULT;

ALTER TABLE assignment.windows RENAME TO windows_whole;
ALTER TABLE assignment.windows_whole DROP CONSTRAINT windows_pkey;
DROP INDEX assignment.windows_by_city;
CREATE TABLE assignment.windows (
  LIKE assignment.windows_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE assignment.windows_other PARTITION OF assignment.windows DEFAULT;

-- The weeks that deliveries have.
DO $$
DECLARE parent text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['offers', 'explanations', 'windows'] LOOP
    PERFORM assignment.make_partition(parent, to_date(right(relname, 7), 'IYYY"w"IW')::timestamp AT TIME ZONE 'UTC')
    FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'assignment.deliveries'::regclass AND relname ~ '_\d{4}w\d{2}$';
    EXECUTE format('INSERT INTO assignment.%I SELECT * FROM assignment.%I', parent, parent || '_whole');
    EXECUTE format('DROP TABLE assignment.%I', parent || '_whole');
  END LOOP;
END $$;

-- Promise 1: a delivery has at most one live assignment, under any concurrency.
CREATE UNIQUE INDEX offers_live ON assignment.offers (delivery_id) WHERE ended_at IS NULL;
CREATE INDEX offers_by_id ON assignment.offers (id);
CREATE INDEX offers_by_partner ON assignment.offers (partner_id, id);
CREATE INDEX offers_by_city ON assignment.offers (city_code, id);
CREATE INDEX offers_to_expire ON assignment.offers (city_code, expires_at) WHERE state = 'open';
CREATE INDEX offers_on_route ON assignment.offers (partner_id) WHERE ended_at IS NULL;
CREATE INDEX offers_completed ON assignment.offers (city_code, ended_at) INCLUDE (partner_id) WHERE state = 'completed';
CREATE INDEX windows_by_city ON assignment.windows (city_code, id);

-- Lists of states that few rows have. The state is a condition and no column of these indexes: enum_eq is not leakproof, so
-- row-level security would not let it be looked up, for operators neither.
CREATE INDEX deliveries_live ON assignment.deliveries (id) WHERE state NOT IN ('delivered', 'cancelled', 'returned');
CREATE INDEX deliveries_live_by_city ON assignment.deliveries (city_code, id)
  WHERE state NOT IN ('delivered', 'cancelled', 'returned');
CREATE INDEX deliveries_live_by_merchant ON assignment.deliveries (merchant_id, id)
  WHERE state NOT IN ('delivered', 'cancelled', 'returned');
CREATE INDEX deliveries_ended_by_city ON assignment.deliveries (city_code, id) WHERE state IN ('cancelled', 'returned');
CREATE INDEX deliveries_ended_by_merchant ON assignment.deliveries (merchant_id, id)
  WHERE state IN ('cancelled', 'returned');
CREATE INDEX offers_live_by_id ON assignment.offers (id) WHERE ended_at IS NULL;
CREATE INDEX offers_live_by_city ON assignment.offers (city_code, id) WHERE ended_at IS NULL;
CREATE INDEX offers_refused_by_city ON assignment.offers (city_code, id)
  WHERE state IN ('rejected', 'expired', 'withdrawn');
-- A city's partners who are online, or offline, in the order of the list and of the matcher.
DROP INDEX assignment.partners_online;
CREATE INDEX partners_by_availability ON assignment.partners (city_code, availability, id);
-- Which references a dropped week leaves behind.
CREATE INDEX delivery_references_by_delivery ON assignment.delivery_references (delivery_id);

ALTER TABLE assignment.offers ENABLE ROW LEVEL SECURITY;
ALTER TABLE assignment.explanations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON assignment.offers TO assignment_tenant
  USING (merchant_id = ANY (assignment.current_merchant_ids()));
CREATE POLICY operator ON assignment.offers TO assignment_operator USING (true);
CREATE POLICY tenant ON assignment.explanations TO assignment_tenant
  USING (merchant_id = ANY (assignment.current_merchant_ids()));
CREATE POLICY operator ON assignment.explanations TO assignment_operator USING (true);
GRANT SELECT ON assignment.explanations TO assignment_tenant;
GRANT SELECT, UPDATE ON assignment.offers TO assignment_tenant;
GRANT SELECT, INSERT, UPDATE ON assignment.offers, assignment.windows, assignment.explanations TO assignment_operator;
GRANT DELETE ON assignment.delivery_references TO assignment_matcher;

-- The weeks from the one before `at` on that have no partition yet are given one, in every table that is kept by the week.
-- Returns what was made; NULL when somebody else is at it.
CREATE FUNCTION assignment.make_partitions(at timestamptz, weeks_ahead integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN pg_try_advisory_xact_lock(hashtext('assignment.ensure_partitions')) THEN ARRAY(
    SELECT made FROM generate_series(-1, weeks_ahead) AS place
    CROSS JOIN pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    CROSS JOIN LATERAL assignment.make_partition(c.relname, date_trunc('week', at, 'UTC') + place * interval '7 days') AS made
    WHERE c.relnamespace = 'assignment'::regnamespace AND made IS NOT NULL ORDER BY made)
  END
$$;

-- What a matcher of the version before calls.
CREATE OR REPLACE FUNCTION assignment.ensure_partitions(weeks_ahead integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(cardinality(assignment.make_partitions(now(), weeks_ahead)), 0)
$$;

-- Drops the oldest week that may go, in every table; one week a call. A week may go when it ended `weeks_kept` weeks before
-- `at` and as many later weeks hold deliveries: a clock that jumps ahead has no such weeks to show, and can cost one week at
-- most. Returns the week with live = 0; and each week that should go and stays, with how many deliveries in it are not at
-- their end. Nothing when somebody else is at it.
CREATE FUNCTION assignment.drop_old_partition(
  at timestamptz, weeks_kept integer, final_states assignment.delivery_state[]) RETURNS TABLE (week text, live bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  candidate record;
  parent text;
  old text[] := '{}';
  later integer := 0;
  holds boolean;
  live_query text := 'SELECT count(*) FROM assignment.deliveries_%s WHERE state <> ALL ($1)';
BEGIN
  IF weeks_kept < 1 THEN
    RAISE EXCEPTION 'weeks_kept is %: the week of now cannot be dropped', weeks_kept;
  END IF;
  IF NOT pg_try_advisory_xact_lock(hashtext('assignment.ensure_partitions')) THEN
    RETURN;
  END IF;
  FOR candidate IN SELECT name, starts FROM assignment.delivery_weeks() WHERE starts <= at ORDER BY starts DESC LOOP
    IF later >= weeks_kept AND candidate.starts <= at - (weeks_kept + 1) * interval '7 days' THEN
      old := candidate.name || old;
    ELSE
      EXECUTE format('SELECT EXISTS (SELECT FROM assignment.deliveries_%s)', candidate.name) INTO holds;
      later := later + holds::integer;
    END IF;
  END LOOP;
  FOREACH week IN ARRAY old LOOP
    EXECUTE format(live_query, week) INTO live USING final_states;
    IF live = 0 THEN
      BEGIN
        EXECUTE format('ALTER TABLE assignment.deliveries DETACH PARTITION assignment.deliveries_%s', week);
        -- Nobody can write to it any more: this count is the last.
        EXECUTE format(live_query, week) INTO live USING final_states;
        IF live > 0 THEN
          RAISE SQLSTATE 'LM001';
        END IF;
        FOR parent IN SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
            WHERE c.relnamespace = 'assignment'::regnamespace ORDER BY c.relname LOOP
          EXECUTE format('DROP TABLE IF EXISTS assignment.%I', parent || '_' || week);
        END LOOP;
      EXCEPTION WHEN SQLSTATE 'LM001' THEN
        NULL;  -- attached again by the rollback of this block
      END;
    END IF;
    RETURN NEXT;
    EXIT WHEN live = 0;
  END LOOP;
END $$;

-- The weeks of deliveries, by the names of their partitions.
CREATE FUNCTION assignment.delivery_weeks() RETURNS TABLE (name text, starts timestamptz) LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT right(relname, 7), to_date(right(relname, 7), 'IYYY"w"IW')::timestamp AT TIME ZONE 'UTC'
  FROM pg_inherits JOIN pg_class ON oid = inhrelid
  WHERE inhparent = 'assignment.deliveries'::regclass AND relname ~ '_\d{4}w\d{2}$';
END;

-- Which partitions of the next weeks are missing, how many rows are in no week, and the lowest id of the oldest week.
CREATE FUNCTION assignment.partition_state(
  at timestamptz, weeks_needed integer, OUT missing text[], OUT strays bigint, OUT oldest uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  parent text;
  found bigint;
BEGIN
  missing := '{}';
  strays := 0;
  FOR parent IN SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
      WHERE c.relnamespace = 'assignment'::regnamespace ORDER BY c.relname LOOP
    missing := missing || ARRAY(
      SELECT wanted FROM generate_series(0, weeks_needed) AS place CROSS JOIN LATERAL (
        SELECT parent || '_' || to_char(at AT TIME ZONE 'UTC' + place * interval '7 days', 'IYYY"w"IW')) AS w (wanted)
      WHERE NOT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = format('assignment.%I', parent)::regclass AND relname = wanted));
    EXECUTE format('SELECT count(*) FROM assignment.%I', parent || '_other') INTO found;
    strays := strays + found;
  END LOOP;
  SELECT assignment.uuidv7_floor(min(starts)) INTO oldest FROM assignment.delivery_weeks();
END $$;
REVOKE ALL ON FUNCTION assignment.make_partitions(timestamptz, integer),
  assignment.drop_old_partition(timestamptz, integer, assignment.delivery_state[]),
  assignment.partition_state(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION assignment.make_partitions(timestamptz, integer),
  assignment.drop_old_partition(timestamptz, integer, assignment.delivery_state[]),
  assignment.partition_state(timestamptz, integer) TO assignment_matcher;

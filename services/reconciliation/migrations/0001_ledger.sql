-- The reconciliation service's tables, roles and row-level security: rate cards, what is known of deliveries and partners,
-- and the ledger.
--
-- Roles: reconciliation_api logs in for commands and takes reconciliation_operator in each transaction.
-- reconciliation_query and reconciliation_fallback log in for queries, to the standby and to the primary, and take one of
-- the two readers: reconciliation_tenant_reader sees the merchants named in the transaction's lastmile.merchant_ids and
-- nothing else. reconciliation_consumer books. A login that chose no role sees nothing; nobody changes what is booked.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['reconciliation_operator', 'reconciliation_tenant_reader',
    'reconciliation_operator_reader', 'reconciliation_api', 'reconciliation_query', 'reconciliation_fallback',
    'reconciliation_consumer'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE reconciliation_api NOINHERIT;
ALTER ROLE reconciliation_query NOINHERIT;
ALTER ROLE reconciliation_fallback NOINHERIT CONNECTION LIMIT 8;
ALTER ROLE reconciliation_query SET default_transaction_read_only = on;
ALTER ROLE reconciliation_fallback SET default_transaction_read_only = on;
GRANT reconciliation_operator TO reconciliation_api WITH INHERIT FALSE, SET TRUE;
GRANT reconciliation_tenant_reader, reconciliation_operator_reader TO reconciliation_query, reconciliation_fallback
  WITH INHERIT FALSE, SET TRUE;
GRANT USAGE ON SCHEMA reconciliation TO reconciliation_operator, reconciliation_tenant_reader,
  reconciliation_operator_reader, reconciliation_consumer;

CREATE FUNCTION reconciliation.current_merchant_ids() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(nullif(current_setting('lastmile.merchant_ids', true), ''), ',')::uuid[];

CREATE TABLE reconciliation.rate_cards (
  id uuid PRIMARY KEY,
  city_code text NOT NULL,
  vehicle text NOT NULL,
  -- Empty for the company's own partners.
  network_code text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  effective_from timestamptz NOT NULL,
  terms jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  UNIQUE (city_code, vehicle, network_code, version),
  -- Also finds the version in force.
  UNIQUE (city_code, vehicle, network_code, effective_from)
);

-- Every change of a delivery, as its events tell of it; the first one carries the order.
CREATE TABLE reconciliation.delivery_changes (
  delivery_id uuid NOT NULL,
  sequence bigint NOT NULL CHECK (sequence > 0),
  event_id uuid NOT NULL,
  state text NOT NULL,
  occurred_at timestamptz NOT NULL,
  partner_id uuid,
  merchant_id uuid,
  city_code text,
  distance_m bigint CHECK (distance_m >= 0),
  weight_g bigint CHECK (weight_g >= 0),
  cash_paise bigint CHECK (cash_paise >= 0),
  ready_at timestamptz,
  drop_until timestamptz,
  PRIMARY KEY (delivery_id, sequence),
  CONSTRAINT delivery_change_order CHECK (
    num_nulls(merchant_id, city_code, distance_m, weight_g, cash_paise, ready_at, drop_until) IN (0, 7))
);

-- One row for each delivery that was heard of: locked while its entries are worked out, and kept in mind while they
-- cannot be.
CREATE TABLE reconciliation.deliveries (
  delivery_id uuid PRIMARY KEY,
  waits_for text,
  looked_at timestamptz,
  CONSTRAINT delivery_waits CHECK ((waits_for IS NULL) = (looked_at IS NULL))
);
CREATE INDEX deliveries_waiting ON reconciliation.deliveries (looked_at) WHERE waits_for IS NOT NULL;

CREATE TABLE reconciliation.partner_versions (
  partner_id uuid NOT NULL,
  version bigint NOT NULL,
  event_id uuid NOT NULL,
  vehicle text NOT NULL,
  network_code text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (partner_id, version)
);

CREATE TABLE reconciliation.seen_events (consumer text, event_id uuid, PRIMARY KEY (consumer, event_id));

CREATE TYPE reconciliation.entry_kind AS ENUM ('earnings', 'reversal');

-- The ledger. An entry names what caused it, the events behind it, and the version that it was worked out by.
CREATE TABLE reconciliation.entries (
  id uuid PRIMARY KEY,
  kind reconciliation.entry_kind NOT NULL,
  cause_event_id uuid NOT NULL,
  event_ids uuid[] NOT NULL CHECK (cardinality(event_ids) > 0),
  delivery_id uuid NOT NULL,
  merchant_id uuid NOT NULL,
  partner_id uuid NOT NULL,
  partner_version bigint NOT NULL,
  rate_card_id uuid NOT NULL REFERENCES reconciliation.rate_cards (id),
  -- The entry that this one undoes.
  reverses uuid UNIQUE REFERENCES reconciliation.entries (id),
  postings_count smallint NOT NULL CHECK (postings_count >= 0),
  occurred_at timestamptz NOT NULL,
  booked_at timestamptz NOT NULL,
  CONSTRAINT entry_once UNIQUE (cause_event_id, kind),
  -- Each delivery is paid once, and that is undone once. Also finds a delivery's entries.
  CONSTRAINT entry_once_for_delivery UNIQUE (delivery_id, kind),
  CONSTRAINT entry_reverses CHECK ((kind = 'reversal') = (reverses IS NOT NULL)),
  UNIQUE (id, postings_count)
);

CREATE TABLE reconciliation.postings (
  entry_id uuid NOT NULL,
  line smallint NOT NULL,
  -- How many its entry has. All lines up to it are there at the commit, so none can be added later.
  entry_postings_count smallint NOT NULL,
  -- Spelt kind:owner.
  account text NOT NULL CHECK (account ~ '^(partner|merchant|network|cash|tax|platform):[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
  purpose text NOT NULL,
  paise bigint NOT NULL CHECK (paise <> 0),
  -- Whose account it is, when it is a merchant's.
  merchant_id uuid,
  booked_at timestamptz NOT NULL,
  PRIMARY KEY (entry_id, line),
  FOREIGN KEY (entry_id, entry_postings_count) REFERENCES reconciliation.entries (id, postings_count),
  CONSTRAINT posting_line CHECK (line BETWEEN 1 AND entry_postings_count),
  CONSTRAINT posting_merchant CHECK (merchant_id IS NOT NULL = (account LIKE 'merchant:%'))
);
-- Balances at any instant, from the index alone.
CREATE INDEX postings_by_account ON reconciliation.postings (account, booked_at) INCLUDE (paise);

-- As the owner, so that no policy hides a posting from the sum.
CREATE FUNCTION reconciliation.check_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  rest numeric;
  found_count bigint;
BEGIN
  SELECT coalesce(sum(p.paise), 0), count(*) INTO rest, found_count FROM reconciliation.postings p WHERE p.entry_id = NEW.id;
  IF rest <> 0 THEN
    RAISE EXCEPTION 'the postings of entry % sum to % paise, and must to 0', NEW.id, rest
      USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_balances';
  END IF;
  IF found_count <> NEW.postings_count THEN
    RAISE EXCEPTION 'entry % has % postings, and states %', NEW.id, found_count, NEW.postings_count
      USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_whole';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION reconciliation.check_entry() FROM PUBLIC;
-- At the commit, of each entry once: its postings cannot change afterwards, nor become more.
CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT ON reconciliation.entries
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reconciliation.check_entry();

CREATE FUNCTION reconciliation.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %.% is refused: what is written there never changes', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['entries', 'postings', 'rate_cards'] LOOP
    EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change()', table_name);
  END LOOP;
END $$;

-- Row-level security: every table with a merchant's rows. Only the ledger is for merchants to read.
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['delivery_changes', 'entries', 'postings'] LOOP
    EXECUTE format('ALTER TABLE reconciliation.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY operator_reads ON reconciliation.%I FOR SELECT TO reconciliation_operator_reader USING (true)', table_name);
    EXECUTE format('CREATE POLICY consumer ON reconciliation.%I TO reconciliation_consumer USING (true)', table_name);
  END LOOP;
  FOREACH table_name IN ARRAY ARRAY['entries', 'postings'] LOOP
    EXECUTE format('CREATE POLICY tenant_reads ON reconciliation.%I FOR SELECT TO reconciliation_tenant_reader USING (merchant_id = ANY (reconciliation.current_merchant_ids()))', table_name);
  END LOOP;
END $$;

-- Least privilege.
GRANT SELECT, INSERT ON reconciliation.rate_cards TO reconciliation_operator;
GRANT SELECT ON reconciliation.rate_cards, reconciliation.delivery_changes, reconciliation.deliveries,
  reconciliation.partner_versions, reconciliation.entries, reconciliation.postings TO reconciliation_operator_reader;
GRANT SELECT ON reconciliation.entries, reconciliation.postings TO reconciliation_tenant_reader;
GRANT SELECT ON reconciliation.rate_cards TO reconciliation_consumer;
GRANT SELECT, INSERT ON reconciliation.delivery_changes, reconciliation.partner_versions, reconciliation.entries,
  reconciliation.postings TO reconciliation_consumer;
GRANT SELECT, INSERT, UPDATE ON reconciliation.deliveries TO reconciliation_consumer;
GRANT SELECT, INSERT, DELETE ON reconciliation.seen_events TO reconciliation_consumer;

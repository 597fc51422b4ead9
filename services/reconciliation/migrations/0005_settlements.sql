-- Settlements: what each party is owed for a cycle, in statements that never change once they are closed; holds that
-- freeze one line; payouts, and what the bank says of them.
--
-- A party is who has statements: partner:<id>, network:<code>, merchant:<id>. A partner's cash account is the partner's.
-- Amounts are the party's: above zero is owed to it, below zero is owed by it.

-- Paid by statements of others, cash handed in, guarantees, and payouts name no delivery. Old code reads none of them:
-- it asks by delivery.
ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'guarantee';
ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'payment';
ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'remittance';
ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'payout';
ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'payout_return';
-- In whose statements an entry is to be, where no rate card's city says so; empty for all cities without cycles of their own.
ALTER TABLE reconciliation.entries ADD COLUMN calendar text;

-- When a partner was on duty by a version: online, and within its shift slots where it has any. Null when it was told
-- before this was kept.
ALTER TABLE reconciliation.partner_versions
  ADD COLUMN city_code text,
  ADD COLUMN on_duty tstzmultirange;

-- The lines that a run has settled. An expression, so that no statement of a run is planned by it: to those the open
-- run looks like few rows, and is not.
CREATE INDEX results_by_run ON reconciliation.results ((run_no::bigint)) WHERE line IS NOT NULL;
-- The runs whose payments are booked.
CREATE TABLE reconciliation.settlement_runs (
  run_no integer PRIMARY KEY REFERENCES reconciliation.runs (run_no),
  booked_at timestamptz NOT NULL
);
-- What a run found that was paid to a party, or handed in by it, and the entry that books it.
CREATE TABLE reconciliation.settlement_payments (
  entry_id uuid PRIMARY KEY REFERENCES reconciliation.entries (id),
  run_no integer NOT NULL REFERENCES reconciliation.settlement_runs (run_no),
  party text COLLATE "C" NOT NULL,
  leg text NOT NULL,
  paise bigint NOT NULL CHECK (paise > 0),
  CONSTRAINT payment_once UNIQUE (run_no, party, leg)
);

CREATE TABLE reconciliation.settlement_cycles (
  cycle_no integer PRIMARY KEY CHECK (cycle_no > 0),
  -- A city that has cycles of its own; empty for all others.
  calendar text NOT NULL,
  previous_no integer REFERENCES reconciliation.settlement_cycles (cycle_no),
  from_at timestamptz NOT NULL,
  until_at timestamptz NOT NULL CHECK (until_at > from_at),
  -- The entries that it looks through; those that have a line already are left out.
  entries_from uuid NOT NULL,
  entries_until uuid NOT NULL,
  -- The cities that have cycles of their own.
  own_cities text[] NOT NULL,
  state text NOT NULL,
  -- How far its state is.
  position text NOT NULL DEFAULT '',
  opened_at timestamptz NOT NULL,
  opened_by text NOT NULL,
  last_error text,
  closed_at timestamptz,
  -- One follows another.
  UNIQUE NULLS NOT DISTINCT (calendar, previous_no)
);
CREATE UNIQUE INDEX one_open_cycle ON reconciliation.settlement_cycles (calendar) WHERE closed_at IS NULL;

-- An entry of the ledger, as one of its parties sees it. `work` is what was earned, or for merchants the fee; `tax` what
-- was withheld, or GST; `cash` what was collected at the door, or handed in; `paid` what was paid out.
CREATE TABLE reconciliation.settlement_lines (
  cycle_no integer NOT NULL REFERENCES reconciliation.settlement_cycles (cycle_no),
  party text COLLATE "C" NOT NULL,
  entry_id uuid NOT NULL,
  kind text NOT NULL,
  work_paise bigint NOT NULL,
  tax_paise bigint NOT NULL,
  cash_paise bigint NOT NULL,
  paid_paise bigint NOT NULL,
  paise bigint NOT NULL CHECK (paise = work_paise + tax_paise + cash_paise + paid_paise),
  -- What it undoes, and the cycle of that, when it was another one.
  adjusts_entry_id uuid,
  adjusts_cycle_no integer,
  merchant_id uuid,
  -- Each entry is in one statement of each of its parties, whatever arrives how often.
  PRIMARY KEY (entry_id, party),
  CONSTRAINT line_merchant CHECK (merchant_id IS NOT NULL = (party LIKE 'merchant:%'))
);
CREATE INDEX settlement_lines_by_party ON reconciliation.settlement_lines (cycle_no, party, entry_id);
-- One adjustment of each line.
CREATE UNIQUE INDEX line_adjusted_once ON reconciliation.settlement_lines (adjusts_entry_id, party)
  WHERE adjusts_entry_id IS NOT NULL;

CREATE TABLE reconciliation.settlement_statements (
  cycle_no integer NOT NULL REFERENCES reconciliation.settlement_cycles (cycle_no),
  party text COLLATE "C" NOT NULL,
  -- What was open at the end of the cycle before.
  opening_paise bigint NOT NULL,
  lines_count integer NOT NULL,
  work_paise bigint NOT NULL,
  tax_paise bigint NOT NULL,
  cash_paise bigint NOT NULL,
  paid_paise bigint NOT NULL,
  closing_paise bigint NOT NULL,
  -- Of lines that are held.
  held_paise bigint NOT NULL,
  -- Of payouts that are not in any statement yet.
  unsettled_paise bigint NOT NULL,
  payable_paise bigint NOT NULL,
  content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32),
  merchant_id uuid,
  PRIMARY KEY (cycle_no, party),
  CONSTRAINT statement_adds_up CHECK (
    closing_paise = opening_paise + work_paise + tax_paise + cash_paise + paid_paise),
  CONSTRAINT statement_payable CHECK (payable_paise = greatest(0, closing_paise - held_paise - unsettled_paise)),
  CONSTRAINT statement_merchant CHECK (merchant_id IS NOT NULL = (party LIKE 'merchant:%'))
);

-- What a guarantee was worked out from.
CREATE TABLE reconciliation.settlement_top_ups (
  entry_id uuid PRIMARY KEY REFERENCES reconciliation.entries (id),
  cycle_no integer NOT NULL REFERENCES reconciliation.settlement_cycles (cycle_no),
  partner_id uuid NOT NULL,
  on_duty_s bigint NOT NULL CHECK (on_duty_s >= 0),
  earned_paise bigint NOT NULL,
  guarantee_paise_per_h bigint NOT NULL,
  paise bigint NOT NULL CHECK (paise > 0),
  CONSTRAINT top_up_once UNIQUE (cycle_no, partner_id)
);

-- Lines that are kept out of what is payable.
CREATE TABLE reconciliation.settlement_holds (
  party text COLLATE "C" NOT NULL,
  entry_id uuid NOT NULL REFERENCES reconciliation.entries (id),
  state text NOT NULL,
  paise bigint NOT NULL,
  changes_count integer NOT NULL CHECK (changes_count > 0),
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (entry_id, party)
);
CREATE INDEX holds_in_force ON reconciliation.settlement_holds (party) WHERE state <> 'released';
CREATE TABLE reconciliation.settlement_hold_changes (
  party text COLLATE "C" NOT NULL,
  entry_id uuid NOT NULL,
  change_no integer NOT NULL CHECK (change_no > 0),
  action text NOT NULL,
  state text NOT NULL,
  reason text NOT NULL,
  changed_at timestamptz NOT NULL,
  changed_by text NOT NULL,
  PRIMARY KEY (entry_id, party, change_no)
);

CREATE TABLE reconciliation.payout_batches (
  batch_no integer PRIMARY KEY CHECK (batch_no > 0),
  -- One for each cycle.
  cycle_no integer NOT NULL UNIQUE REFERENCES reconciliation.settlement_cycles (cycle_no),
  payouts_count integer NOT NULL,
  paise bigint NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL
);
CREATE TABLE reconciliation.payouts (
  batch_no integer NOT NULL REFERENCES reconciliation.payout_batches (batch_no),
  sequence integer NOT NULL CHECK (sequence > 0),
  -- By which the bank says what became of it.
  reference text NOT NULL UNIQUE,
  party text COLLATE "C" NOT NULL,
  paise bigint NOT NULL CHECK (paise > 0),
  state text NOT NULL,
  -- It takes from what is payable, and no statement shows it yet.
  is_open boolean NOT NULL DEFAULT true,
  paid_entry_id uuid UNIQUE REFERENCES reconciliation.entries (id),
  returned_entry_id uuid UNIQUE REFERENCES reconciliation.entries (id),
  changed_at timestamptz NOT NULL,
  -- The lines of the bank's statements that say so.
  paid_by_statement_id uuid,
  paid_by_line integer,
  returned_by_statement_id uuid,
  returned_by_line integer,
  merchant_id uuid,
  PRIMARY KEY (batch_no, sequence),
  UNIQUE (batch_no, party),
  CONSTRAINT payout_merchant CHECK (merchant_id IS NOT NULL = (party LIKE 'merchant:%'))
);
CREATE INDEX payouts_open ON reconciliation.payouts (party) WHERE is_open;

-- What is closed never changes, and gains nothing.
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['settlement_lines', 'settlement_statements', 'settlement_top_ups',
    'settlement_runs', 'settlement_payments', 'settlement_hold_changes', 'payout_batches'] LOOP
    EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change()', table_name);
  END LOOP;
END $$;
CREATE FUNCTION reconciliation.refuse_addition_to_closed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM reconciliation.settlement_cycles c
      WHERE c.closed_at IS NOT NULL AND c.cycle_no IN (SELECT a.cycle_no FROM added a)) THEN
    RAISE EXCEPTION 'a cycle that is closed gains nothing' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION reconciliation.refuse_addition_to_closed() FROM PUBLIC;
CREATE TRIGGER open_cycle AFTER INSERT ON reconciliation.settlement_lines REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_addition_to_closed();
CREATE TRIGGER open_cycle AFTER INSERT ON reconciliation.settlement_statements REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_addition_to_closed();
CREATE TRIGGER closed_for_good BEFORE UPDATE ON reconciliation.settlement_cycles
  FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION reconciliation.refuse_change();
CREATE TRIGGER immutable BEFORE DELETE OR TRUNCATE ON reconciliation.settlement_cycles
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();
CREATE TRIGGER immutable BEFORE DELETE OR TRUNCATE ON reconciliation.payouts
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();
CREATE TRIGGER what_is_paid BEFORE UPDATE ON reconciliation.payouts
  FOR EACH ROW WHEN ((OLD.reference, OLD.party, OLD.paise) IS DISTINCT FROM (NEW.reference, NEW.party, NEW.paise)
    OR (OLD.paid_entry_id IS NOT NULL AND OLD.paid_entry_id IS DISTINCT FROM NEW.paid_entry_id)
    OR (OLD.returned_entry_id IS NOT NULL AND OLD.returned_entry_id IS DISTINCT FROM NEW.returned_entry_id))
  EXECUTE FUNCTION reconciliation.refuse_change();

-- Row-level security: a merchant reads its own statements, lines and payouts.
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['settlement_lines', 'settlement_statements', 'payouts'] LOOP
    EXECUTE format('ALTER TABLE reconciliation.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY operator ON reconciliation.%I TO reconciliation_operator, reconciliation_operator_reader, reconciliation_worker USING (true)', table_name);
    EXECUTE format('CREATE POLICY tenant_reads ON reconciliation.%I FOR SELECT TO reconciliation_tenant_reader USING (merchant_id = ANY (reconciliation.current_merchant_ids()))', table_name);
  END LOOP;
  -- What deliveries earn is the consumer's to book; the rest is settled.
  FOREACH table_name IN ARRAY ARRAY['entries', 'postings'] LOOP
    EXECUTE format('GRANT INSERT ON reconciliation.%I TO reconciliation_operator, reconciliation_worker', table_name);
  END LOOP;
END $$;
CREATE POLICY payouts_are_booked ON reconciliation.entries FOR INSERT TO reconciliation_operator
  WITH CHECK (kind::text IN ('payout', 'payout_return'));
CREATE POLICY settlement_books ON reconciliation.entries FOR INSERT TO reconciliation_worker
  WITH CHECK (kind::text IN ('guarantee', 'payment', 'remittance'));
CREATE POLICY settlement_books ON reconciliation.postings FOR INSERT TO reconciliation_operator, reconciliation_worker
  WITH CHECK (true);

GRANT SELECT ON reconciliation.settlement_cycles, reconciliation.settlement_lines, reconciliation.settlement_statements,
  reconciliation.settlement_top_ups, reconciliation.settlement_runs, reconciliation.settlement_payments,
  reconciliation.settlement_holds,
  reconciliation.settlement_hold_changes, reconciliation.payout_batches, reconciliation.payouts
  TO reconciliation_operator, reconciliation_operator_reader, reconciliation_worker;
GRANT SELECT ON reconciliation.settlement_cycles, reconciliation.settlement_lines, reconciliation.settlement_statements,
  reconciliation.payouts TO reconciliation_tenant_reader;
GRANT INSERT ON reconciliation.settlement_cycles TO reconciliation_operator, reconciliation_worker;
GRANT UPDATE ON reconciliation.settlement_cycles TO reconciliation_worker;
GRANT INSERT ON reconciliation.settlement_lines, reconciliation.settlement_statements, reconciliation.settlement_top_ups,
  reconciliation.settlement_runs, reconciliation.settlement_payments TO reconciliation_worker;
GRANT UPDATE (is_open) ON reconciliation.payouts TO reconciliation_worker;
GRANT SELECT ON reconciliation.partner_versions, reconciliation.rate_cards TO reconciliation_worker;
GRANT INSERT, UPDATE ON reconciliation.settlement_holds, reconciliation.payouts TO reconciliation_operator;
GRANT INSERT ON reconciliation.settlement_hold_changes, reconciliation.payout_batches TO reconciliation_operator;

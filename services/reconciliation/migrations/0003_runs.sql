-- Runs: what the ledger says is owed against what statements say was paid.
--
-- Nothing in results, open_legs, open_lines and discrepancies depends on when or by whom it was worked out: run
-- numbers, not moments, say what came when. So a run that was killed and resumed leaves the same bytes.

-- A chunk's rows are sorted and hashed in memory.
ALTER ROLE reconciliation_worker SET work_mem = '64MB';
-- A chunk may be a moment's deliveries or a year's: its plan is made for what it is.
ALTER ROLE reconciliation_worker SET plan_cache_mode = 'force_custom_plan';

-- Spread over buckets by the payee: what may belong together is in one.
CREATE FUNCTION reconciliation.bucket_key(payee text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || left(md5(payee), 4))::bit(16)::integer;
-- The same parts give the same id.
CREATE FUNCTION reconciliation.id_of(VARIADIC parts text[]) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(array_to_string(parts, '|', ''))::uuid;

CREATE TABLE reconciliation.runs (
  run_no integer PRIMARY KEY CHECK (run_no > 0),
  tolerance_paise bigint NOT NULL CHECK (tolerance_paise >= 0),
  tolerance_min integer NOT NULL CHECK (tolerance_min >= 0),
  payout_due_min integer NOT NULL CHECK (payout_due_min >= 0),
  chunks_count integer NOT NULL CHECK (chunks_count > 0),
  -- The ledger's entries that it looks at, by their ids, which are in the order of time.
  entries_from uuid NOT NULL,
  entries_until uuid NOT NULL,
  -- As of when: what is to be paid by then and is not, is missing.
  as_of timestamptz NOT NULL,
  opened_at timestamptz NOT NULL,
  opened_by text NOT NULL,
  -- The cursor: the last hand-over that it has looked at.
  last_confirmed_at timestamptz,
  closed_at timestamptz
);
-- Runs follow one another.
CREATE UNIQUE INDEX one_open_run ON reconciliation.runs ((true)) WHERE closed_at IS NULL;

CREATE TABLE reconciliation.run_statements (
  -- A statement is looked at by one run; what of it stays open is carried on.
  statement_id uuid PRIMARY KEY REFERENCES reconciliation.statements (id),
  run_no integer NOT NULL REFERENCES reconciliation.runs (run_no) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX run_statements_by_run ON reconciliation.run_statements (run_no);

-- A part of a run, and how far it is. `fence` grows with every claim: who lost a claim can commit nothing.
CREATE TABLE reconciliation.run_chunks (
  run_no integer NOT NULL REFERENCES reconciliation.runs (run_no),
  chunk integer NOT NULL CHECK (chunk >= 0),
  state text NOT NULL,
  entries_from uuid NOT NULL,
  entries_until uuid NOT NULL,
  -- Both inclusive. What names no delivery is with chunk 0.
  delivery_from uuid NOT NULL,
  delivery_to uuid NOT NULL,
  -- Until is exclusive, of entries too.
  bucket_from integer NOT NULL,
  bucket_until integer NOT NULL,
  fence bigint NOT NULL DEFAULT 0,
  holder text,
  leased_until timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  not_before timestamptz,
  is_quarantined boolean NOT NULL DEFAULT false,
  last_error text,
  tallies jsonb NOT NULL DEFAULT '{}',
  -- What was collected: the first and the last entry of its deliveries.
  collected_from uuid,
  collected_to uuid,
  last_confirmed_at timestamptz,
  PRIMARY KEY (run_no, chunk)
);

-- What is owed for deliveries: the ledger's entries in the form in which they are paid. Of the postings of an entry's
-- earnings the one below nothing says to whom they are owed, and cash above nothing is in its partner's hands.
CREATE VIEW reconciliation.legs WITH (security_invoker = true) AS
SELECT e.delivery_id, CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END AS leg,
  CASE p.purpose WHEN 'earnings' THEN p.account ELSE 'partner:' || e.partner_id END AS payee, abs(p.paise) AS paise,
  e.occurred_at AS confirmed_at, e.id AS entry_id, u.id AS reversal_entry_id
FROM reconciliation.entries e
JOIN reconciliation.postings p ON p.entry_id = e.id
  AND ((p.purpose = 'earnings' AND p.paise < 0) OR (p.purpose = 'cash_collected' AND p.paise > 0))
LEFT JOIN reconciliation.entries u ON u.delivery_id = e.delivery_id AND u.kind = 'reversal'
WHERE e.kind = 'earnings';
-- Reversals are few among the entries of a time.
CREATE INDEX reversals ON reconciliation.entries (id) INCLUDE (delivery_id) WHERE kind = 'reversal';

-- What became of a line and of a leg, for good. A line is settled once, and a leg once, whatever is killed.
CREATE TABLE reconciliation.results (
  statement_id uuid,
  line integer,
  delivery_id uuid,
  leg text NOT NULL,
  outcome text NOT NULL,
  -- The rule that found it.
  rule text NOT NULL,
  -- What settles its leg; others are further lines of the same leg.
  is_settling boolean NOT NULL,
  expected_paise bigint NOT NULL,
  paid_paise bigint NOT NULL,
  run_no integer NOT NULL,
  chunk integer NOT NULL,
  -- Of a leg that is paid together with others: the line that pays them.
  paid_by_statement_id uuid,
  paid_by_line integer,
  CONSTRAINT result_of_something CHECK (line IS NOT NULL OR delivery_id IS NOT NULL),
  CONSTRAINT line_settled_once UNIQUE (statement_id, line)
);
CREATE UNIQUE INDEX leg_settled_once ON reconciliation.results (delivery_id, leg) WHERE is_settling;
CREATE INDEX results_of_further_lines ON reconciliation.results (delivery_id) WHERE NOT is_settling;
CREATE INDEX results_to_explain ON reconciliation.results (run_no, chunk) WHERE outcome <> 'matched';

-- What is not settled yet, of whatever run.
CREATE TABLE reconciliation.open_lines (
  statement_id uuid NOT NULL,
  line integer NOT NULL,
  leg text NOT NULL,
  reference text NOT NULL,
  delivery_id uuid,
  payee text NOT NULL,
  paise bigint NOT NULL,
  paid_at timestamptz NOT NULL,
  bucket_key integer NOT NULL,
  outcome text,
  PRIMARY KEY (statement_id, line)
);
CREATE INDEX open_lines_by_bucket ON reconciliation.open_lines (bucket_key);
CREATE INDEX open_lines_by_delivery ON reconciliation.open_lines (delivery_id);
CREATE TABLE reconciliation.open_legs (
  delivery_id uuid NOT NULL,
  leg text NOT NULL,
  payee text NOT NULL,
  paise bigint NOT NULL,
  confirmed_at timestamptz NOT NULL,
  bucket_key integer NOT NULL,
  outcome text,
  PRIMARY KEY (delivery_id, leg)
);
CREATE INDEX open_legs_by_bucket ON reconciliation.open_legs (bucket_key);

CREATE TABLE reconciliation.discrepancies (
  -- Made of what it is about, so that it is there once.
  id uuid PRIMARY KEY,
  run_no integer NOT NULL,
  class text NOT NULL,
  leg text NOT NULL,
  delivery_id uuid,
  statement_id uuid,
  line integer,
  payee text NOT NULL,
  expected_paise bigint NOT NULL,
  paid_paise bigint NOT NULL,
  evidence jsonb NOT NULL,
  bucket_key integer NOT NULL,
  -- The run in which what was missing came, or what was unknown became known.
  settled_run_no integer
);
CREATE INDEX discrepancies_by_run ON reconciliation.discrepancies (run_no, class, id);
CREATE INDEX discrepancies_by_delivery ON reconciliation.discrepancies (delivery_id);
CREATE INDEX discrepancies_waiting ON reconciliation.discrepancies (bucket_key)
  WHERE settled_run_no IS NULL AND (line IS NULL OR class = 'unknown_delivery') AND class <> 'late_adjustment';

GRANT SELECT ON reconciliation.runs, reconciliation.run_statements, reconciliation.run_chunks, reconciliation.legs,
  reconciliation.results, reconciliation.open_lines, reconciliation.open_legs, reconciliation.discrepancies
  TO reconciliation_operator_reader, reconciliation_operator, reconciliation_worker;
GRANT INSERT ON reconciliation.runs, reconciliation.run_statements, reconciliation.run_chunks
  TO reconciliation_operator, reconciliation_worker;
GRANT UPDATE ON reconciliation.runs, reconciliation.run_chunks TO reconciliation_worker;
GRANT INSERT ON reconciliation.results TO reconciliation_worker;
GRANT INSERT, UPDATE, DELETE ON reconciliation.open_lines, reconciliation.open_legs TO reconciliation_worker;
GRANT INSERT, UPDATE ON reconciliation.discrepancies TO reconciliation_worker;
GRANT SELECT ON reconciliation.entries, reconciliation.postings TO reconciliation_worker, reconciliation_operator;
CREATE POLICY worker_reads ON reconciliation.entries FOR SELECT TO reconciliation_worker, reconciliation_operator USING (true);
CREATE POLICY worker_reads ON reconciliation.postings FOR SELECT TO reconciliation_worker, reconciliation_operator USING (true);

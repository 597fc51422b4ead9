-- Statements: what networks, banks and payment partners say was paid, line by line, as it was taken in.
--
-- reconciliation_worker logs in for what goes on by itself: the drop folder, and runs. No merchant sees any of it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reconciliation_worker') THEN
    CREATE ROLE reconciliation_worker NOLOGIN;
  END IF;
END $$;
GRANT USAGE ON SCHEMA reconciliation TO reconciliation_worker;

-- How a source's files are read. A further version is a further row.
CREATE TABLE reconciliation.mappings (
  source_code text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  terms jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  PRIMARY KEY (source_code, version)
);

-- One file. It is there with all its lines or not at all.
CREATE TABLE reconciliation.statements (
  id uuid PRIMARY KEY,
  source_code text NOT NULL,
  mapping_version integer NOT NULL,
  file_name text NOT NULL,
  content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32),
  size_bytes bigint NOT NULL,
  rows_taken bigint NOT NULL,
  rows_refused bigint NOT NULL,
  taken_paise bigint NOT NULL,
  -- Of the refused rows whose amount could be read.
  refused_paise bigint NOT NULL,
  received_at timestamptz NOT NULL,
  received_by text NOT NULL,
  FOREIGN KEY (source_code, mapping_version) REFERENCES reconciliation.mappings (source_code, version),
  -- The same file again changes nothing.
  CONSTRAINT statement_once UNIQUE (source_code, content_sha256)
);

CREATE TABLE reconciliation.statement_lines (
  statement_id uuid NOT NULL,
  -- Where it stands in the file, counted in rows or entries from 1.
  line integer NOT NULL CHECK (line > 0),
  -- What was paid: `payout` to a partner or network, `cash` that a partner handed in.
  leg text NOT NULL CHECK (leg IN ('payout', 'cash')),
  reference text NOT NULL,
  -- The delivery that the reference spells; null when it spells none.
  delivery_id uuid,
  -- An account of the ledger: partner:<id>, network:<code>.
  payee text NOT NULL,
  paise bigint NOT NULL CHECK (paise > 0),
  paid_at timestamptz NOT NULL,
  PRIMARY KEY (statement_id, line)
);
-- The lines of a statement by what they say they pay.
CREATE INDEX statement_lines_by_delivery ON reconciliation.statement_lines (statement_id, delivery_id);

CREATE TABLE reconciliation.refused_rows (
  statement_id uuid NOT NULL,
  line integer NOT NULL CHECK (line > 0),
  reason text NOT NULL,
  said text NOT NULL,
  -- The row as it came, up to a limit.
  content text NOT NULL,
  PRIMARY KEY (statement_id, line)
);

DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['mappings', 'statement_lines', 'refused_rows'] LOOP
    EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change()', table_name);
  END LOOP;
END $$;

GRANT SELECT, INSERT ON reconciliation.mappings, reconciliation.statements, reconciliation.statement_lines,
  reconciliation.refused_rows TO reconciliation_operator, reconciliation_worker;
GRANT SELECT ON reconciliation.mappings, reconciliation.statements, reconciliation.statement_lines,
  reconciliation.refused_rows TO reconciliation_operator_reader;

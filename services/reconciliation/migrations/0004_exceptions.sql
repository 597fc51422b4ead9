-- The exceptions desk: what people decide about discrepancies, two of them above a limit, and a trail of all of it.

-- What is decided about cases, or proposed. A row is decided once, and never changes after that.
CREATE TABLE reconciliation.resolutions (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('match', 'write_off', 'recover', 'pay', 'adjust', 'dismiss')),
  -- Of which it was proposed: a run may settle some of them meanwhile.
  cases_count integer NOT NULL CHECK (cases_count > 0),
  -- What is at stake.
  amount_paise bigint NOT NULL CHECK (amount_paise >= 0),
  -- What one person may decide alone; null for no limit.
  limit_paise bigint CHECK (limit_paise >= 0),
  note text NOT NULL,
  proposed_by text NOT NULL CHECK (proposed_by <> ''),
  proposed_at timestamptz NOT NULL,
  outcome text CHECK (outcome IN ('approved', 'declined')),
  decided_by text,
  decided_at timestamptz,
  decided_note text NOT NULL DEFAULT '',
  CONSTRAINT resolution_decided CHECK (num_nulls(outcome, decided_by, decided_at) IN (0, 3)),
  CONSTRAINT nobody_approves_his_own CHECK (
    outcome IS NULL OR decided_by <> proposed_by OR coalesce(amount_paise <= limit_paise, true))
);
CREATE INDEX resolutions_proposed ON reconciliation.resolutions (id) WHERE outcome IS NULL;
CREATE FUNCTION reconciliation.refuse_second_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.outcome IS NOT NULL THEN
    RAISE EXCEPTION 'resolution % is decided', OLD.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF (OLD.id, OLD.kind, OLD.cases_count, OLD.amount_paise, OLD.note, OLD.proposed_by, OLD.proposed_at)
      IS DISTINCT FROM (NEW.id, NEW.kind, NEW.cases_count, NEW.amount_paise, NEW.note, NEW.proposed_by, NEW.proposed_at)
      OR OLD.limit_paise IS DISTINCT FROM NEW.limit_paise THEN
    RAISE EXCEPTION 'what was proposed as % never changes', OLD.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER decided_once BEFORE UPDATE ON reconciliation.resolutions
  FOR EACH ROW EXECUTE FUNCTION reconciliation.refuse_second_decision();
CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON reconciliation.resolutions
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();

-- The audit trail: each row carries the hash of the one before. See exceptions/audit.py.
CREATE TABLE reconciliation.audit_trail (
  sequence bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  -- Such as cases/<id>, runs/<number>.
  subject text NOT NULL,
  content text NOT NULL CHECK (content IS JSON OBJECT),
  previous_sha256 bytea NOT NULL,
  sha256 bytea NOT NULL
);
CREATE INDEX audit_trail_by_subject ON reconciliation.audit_trail (subject, sequence);
CREATE FUNCTION reconciliation.audit_sha256(trail reconciliation.audit_trail) RETURNS bytea LANGUAGE sql STABLE
RETURN (
  SELECT sha256(trail.previous_sha256 || string_agg(convert_to(octet_length(part) || ':' || part, 'UTF8'), ''::bytea
    ORDER BY place))
  FROM unnest(ARRAY[trail.sequence::text, (extract(epoch FROM trail.at) * 1000000)::bigint::text, trail.actor,
    trail.action, trail.subject, trail.content]) WITH ORDINALITY AS p (part, place));
-- Whoever adds a row says what happened; where it stands and what it is hashed to is the database's to say. One after
-- the other, until the end of each transaction.
CREATE FUNCTION reconciliation.chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last reconciliation.audit_trail;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('reconciliation audit trail', 0));
  SELECT * INTO last FROM reconciliation.audit_trail ORDER BY sequence DESC LIMIT 1;
  NEW.sequence := coalesce(last.sequence, 0) + 1;
  NEW.previous_sha256 := coalesce(last.sha256, decode(repeat('00', 32), 'hex'));
  NEW.sha256 := reconciliation.audit_sha256(NEW);
  RETURN NEW;
END $$;
CREATE TRIGGER chained BEFORE INSERT ON reconciliation.audit_trail
  FOR EACH ROW EXECUTE FUNCTION reconciliation.chain_audit();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.audit_trail
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();

-- What the desk has done about a discrepancy; one that nobody has touched has no row, and is open.
CREATE TABLE reconciliation.cases (
  case_id uuid PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('open', 'assigned', 'proposed', 'resolved')),
  assignee text NOT NULL,
  resolution_id uuid REFERENCES reconciliation.resolutions (id),
  -- The last row of the trail about it.
  audited_sequence bigint NOT NULL REFERENCES reconciliation.audit_trail (sequence),
  CONSTRAINT case_assigned CHECK (state <> 'assigned' OR assignee <> ''),
  CONSTRAINT case_proposed CHECK (state <> 'proposed' OR resolution_id IS NOT NULL)
);
CREATE INDEX cases_by_resolution ON reconciliation.cases (resolution_id);
CREATE INDEX cases_by_assignee ON reconciliation.cases (assignee, case_id) WHERE state <> 'resolved';
CREATE INDEX cases_by_audit ON reconciliation.cases (audited_sequence);
-- What is resolved by a resolution, is by one that is decided, and by two above the limit.
CREATE FUNCTION reconciliation.check_case() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.state = 'resolved' AND NEW.resolution_id IS NOT NULL AND NOT EXISTS (
      SELECT FROM reconciliation.resolutions r WHERE r.id = NEW.resolution_id AND r.outcome = 'approved') THEN
    RAISE EXCEPTION 'resolution % of case % is not approved', NEW.resolution_id, NEW.case_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'case_resolution_approved';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION reconciliation.check_case() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER case_resolution_approved AFTER INSERT OR UPDATE ON reconciliation.cases
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reconciliation.check_case();

-- Whether the desk has resolved it. What is neither resolved nor settled is what the desk has to do.
ALTER TABLE reconciliation.discrepancies ADD COLUMN is_resolved boolean NOT NULL DEFAULT false;
CREATE INDEX discrepancies_unresolved ON reconciliation.discrepancies (run_no, id)
  INCLUDE (class, expected_paise, paid_paise) WHERE settled_run_no IS NULL AND NOT is_resolved;

-- Answers of commands that came with an idempotency key.
CREATE TABLE reconciliation.idempotency_keys (
  scope text NOT NULL,
  key text NOT NULL,
  request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
  response bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_age ON reconciliation.idempotency_keys (created_at);

-- A resolution is booked as an entry of its own: its cause is the resolution, its events are the cases. It is of no one
-- delivery, and no rate card priced it.
ALTER TYPE reconciliation.entry_kind ADD VALUE 'resolution';
ALTER TABLE reconciliation.entries ALTER COLUMN delivery_id DROP NOT NULL, ALTER COLUMN merchant_id DROP NOT NULL,
  ALTER COLUMN partner_id DROP NOT NULL, ALTER COLUMN partner_version DROP NOT NULL,
  ALTER COLUMN rate_card_id DROP NOT NULL,
  ADD CONSTRAINT earnings_of_delivery CHECK (kind NOT IN ('earnings', 'reversal')
    OR num_nulls(delivery_id, merchant_id, partner_id, partner_version, rate_card_id) = 0);

-- Progress of runs is told as events, in order.
ALTER TABLE reconciliation.runs ADD COLUMN told_sequence bigint NOT NULL DEFAULT 0, ADD COLUMN told_at timestamptz;
-- Chunks to work on: those of the open run, and those of closed ones that are taken again.
CREATE INDEX run_chunks_to_do ON reconciliation.run_chunks (run_no, chunk) WHERE state <> 'done' AND NOT is_quarantined;

GRANT SELECT ON reconciliation.resolutions, reconciliation.audit_trail, reconciliation.cases
  TO reconciliation_operator_reader, reconciliation_operator, reconciliation_worker;
GRANT INSERT ON reconciliation.resolutions, reconciliation.audit_trail, reconciliation.cases TO reconciliation_operator;
GRANT UPDATE (outcome, decided_by, decided_at, decided_note) ON reconciliation.resolutions TO reconciliation_operator;
GRANT UPDATE (state, assignee, resolution_id, audited_sequence) ON reconciliation.cases
  TO reconciliation_operator, reconciliation_worker;
GRANT INSERT ON reconciliation.audit_trail TO reconciliation_worker;
GRANT UPDATE (is_resolved) ON reconciliation.discrepancies TO reconciliation_operator;
GRANT INSERT ON reconciliation.results TO reconciliation_operator;
GRANT DELETE ON reconciliation.open_lines, reconciliation.open_legs TO reconciliation_operator;
GRANT SELECT, INSERT ON reconciliation.idempotency_keys TO reconciliation_operator;
GRANT SELECT, DELETE ON reconciliation.idempotency_keys TO reconciliation_worker;
GRANT UPDATE (told_sequence, told_at) ON reconciliation.runs TO reconciliation_operator;
GRANT UPDATE (is_quarantined, attempts, not_before, last_error) ON reconciliation.run_chunks TO reconciliation_operator;
GRANT INSERT ON reconciliation.entries, reconciliation.postings TO reconciliation_operator;
-- The desk books what was approved. Whatever else may be booked by other policies, this holds for resolutions.
CREATE POLICY operator_books ON reconciliation.entries FOR INSERT TO reconciliation_operator
  WITH CHECK (kind::text = 'resolution');
CREATE POLICY resolutions_are_approved ON reconciliation.entries AS RESTRICTIVE FOR INSERT
  TO reconciliation_operator, reconciliation_worker WITH CHECK (kind::text <> 'resolution' OR EXISTS (
    SELECT FROM reconciliation.resolutions r WHERE r.id = cause_event_id AND r.outcome = 'approved'));
CREATE POLICY operator_books ON reconciliation.postings FOR INSERT TO reconciliation_operator WITH CHECK (EXISTS (
  SELECT FROM reconciliation.entries e WHERE e.id = entry_id AND e.kind::text = 'resolution'));

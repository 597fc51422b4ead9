-- Corrections: by what an entry of earnings is wrong, once its hand-over is known to have been at another time.

ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'correction';
-- Which entry of earnings an entry corrects. That says of which delivery it is, and the entry itself does not: so a delivery
-- is still paid once, by the same constraint, and corrected as often as it must be. A table of its own, so that nobody waits
-- for an index over the whole ledger.
CREATE TABLE reconciliation.corrections (
  entry_id uuid PRIMARY KEY REFERENCES reconciliation.entries (id),
  corrects uuid NOT NULL REFERENCES reconciliation.entries (id),
  merchant_id uuid NOT NULL
);
CREATE INDEX corrections_of ON reconciliation.corrections (corrects);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.corrections
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();

ALTER TABLE reconciliation.corrections ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON reconciliation.corrections FOR SELECT TO reconciliation_operator,
  reconciliation_operator_reader, reconciliation_worker USING (true);
CREATE POLICY consumer ON reconciliation.corrections TO reconciliation_consumer USING (true);
CREATE POLICY tenant_reads ON reconciliation.corrections FOR SELECT TO reconciliation_tenant_reader
  USING (merchant_id = ANY (reconciliation.current_merchant_ids()));
GRANT SELECT ON reconciliation.corrections TO reconciliation_operator, reconciliation_operator_reader,
  reconciliation_worker, reconciliation_tenant_reader;
GRANT SELECT, INSERT ON reconciliation.corrections TO reconciliation_consumer;

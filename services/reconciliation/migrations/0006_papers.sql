-- Tax invoices: issued once, numbered without gaps within a state and a financial year, and never changed. The bytes of the
-- PDF are kept: they are the document, whatever renders later ones.
CREATE TABLE reconciliation.invoices (
  id uuid PRIMARY KEY,
  -- As it is printed.
  number text NOT NULL UNIQUE CHECK (length(number) <= 16),
  -- The supplier's state, in the two digits of GST.
  state_code text NOT NULL CHECK (state_code ~ '^[0-9]{2}$'),
  -- The year in which it began.
  financial_year integer NOT NULL,
  sequence integer NOT NULL CHECK (sequence > 0),
  merchant_id uuid NOT NULL,
  -- Its first day.
  month date NOT NULL CHECK (extract(day FROM month) = 1),
  -- The state's digits.
  place_of_supply text NOT NULL,
  taxable_paise bigint NOT NULL,
  cgst_paise bigint NOT NULL,
  sgst_paise bigint NOT NULL,
  igst_paise bigint NOT NULL,
  rounding_paise bigint NOT NULL CHECK (abs(rounding_paise) <= 50),
  payable_paise bigint NOT NULL CHECK (payable_paise > 0 AND payable_paise % 100 = 0),
  content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32),
  issued_at timestamptz NOT NULL,
  issued_by text NOT NULL,
  -- What is on it: supplier, recipient, lines.
  content jsonb NOT NULL,
  pdf bytea NOT NULL,
  CONSTRAINT invoice_once UNIQUE (merchant_id, state_code, month),
  CONSTRAINT invoice_sequence UNIQUE (state_code, financial_year, sequence),
  CONSTRAINT invoice_adds_up CHECK (
    taxable_paise + cgst_paise + sgst_paise + igst_paise + rounding_paise = payable_paise)
);
CREATE INDEX invoices_by_merchant ON reconciliation.invoices (merchant_id, id DESC);
-- A PDF is compressed already.
ALTER TABLE reconciliation.invoices ALTER COLUMN pdf SET STORAGE EXTERNAL;

-- A number follows the one before it. As the owner, so that no policy hides that one; who issues holds the state's lock.
CREATE FUNCTION reconciliation.check_invoice() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.sequence > 1 AND NOT EXISTS (SELECT FROM reconciliation.invoices i WHERE i.state_code = NEW.state_code
      AND i.financial_year = NEW.financial_year AND i.sequence = NEW.sequence - 1) THEN
    RAISE EXCEPTION 'invoice % would leave a number out', NEW.number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_without_gap';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION reconciliation.check_invoice() FROM PUBLIC;
CREATE TRIGGER without_gap AFTER INSERT ON reconciliation.invoices
  FOR EACH ROW EXECUTE FUNCTION reconciliation.check_invoice();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation.invoices
  FOR EACH STATEMENT EXECUTE FUNCTION reconciliation.refuse_change();

ALTER TABLE reconciliation.invoices ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON reconciliation.invoices TO reconciliation_operator USING (true);
CREATE POLICY operator_reads ON reconciliation.invoices FOR SELECT TO reconciliation_operator_reader USING (true);
CREATE POLICY tenant_reads ON reconciliation.invoices FOR SELECT TO reconciliation_tenant_reader
  USING (merchant_id = ANY (reconciliation.current_merchant_ids()));
-- Who issues reads the ledger, and where its deliveries were.
CREATE POLICY issuing_reads ON reconciliation.delivery_changes FOR SELECT TO reconciliation_operator USING (true);

GRANT SELECT, INSERT ON reconciliation.invoices TO reconciliation_operator;
GRANT SELECT ON reconciliation.delivery_changes TO reconciliation_operator;
GRANT SELECT ON reconciliation.invoices TO reconciliation_operator_reader, reconciliation_tenant_reader;

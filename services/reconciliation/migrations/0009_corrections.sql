-- Corrections: by what an entry of earnings is wrong, once its hand-over is known to have been at another time.

ALTER TYPE reconciliation.entry_kind ADD VALUE IF NOT EXISTS 'correction';
-- What it corrects says of which delivery it is: so a delivery is still paid once, by the same constraint, and corrected as
-- often as it must be.
ALTER TABLE reconciliation.entries ADD COLUMN corrects uuid REFERENCES reconciliation.entries (id),
  ADD CONSTRAINT entry_corrects CHECK (
    (kind::text = 'correction') = (corrects IS NOT NULL)
    AND (corrects IS NULL OR (delivery_id IS NULL AND num_nulls(merchant_id, partner_id, partner_version, rate_card_id) = 0))
  ) NOT VALID;
-- Those of an entry, and those of a time.
CREATE INDEX corrections ON reconciliation.entries (corrects, id) WHERE corrects IS NOT NULL;
CREATE INDEX corrections_in_order ON reconciliation.entries (id) INCLUDE (corrects) WHERE corrects IS NOT NULL;

-- A line is undone once, and may be corrected before.
DROP INDEX reconciliation.line_adjusted_once;
CREATE UNIQUE INDEX line_adjusted_once ON reconciliation.settlement_lines (adjusts_entry_id, party)
  WHERE adjusts_entry_id IS NOT NULL AND kind <> 'correction';

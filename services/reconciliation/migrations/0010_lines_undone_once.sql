-- A line is undone once, and may be corrected before. Made before the old index is dropped: reading goes on meanwhile.
CREATE UNIQUE INDEX line_undone_once ON reconciliation.settlement_lines (adjusts_entry_id, party)
  WHERE adjusts_entry_id IS NOT NULL AND kind <> 'correction';
DROP INDEX reconciliation.line_adjusted_once;

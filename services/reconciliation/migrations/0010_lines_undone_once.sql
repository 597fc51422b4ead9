-- A line is undone once, and may be corrected before. The old index goes by itself afterwards: who makes one and drops
-- another at once waits for whoever closes a cycle meanwhile, and is waited for.
CREATE UNIQUE INDEX line_undone_once ON reconciliation.settlement_lines (adjusts_entry_id, party)
  WHERE adjusts_entry_id IS NOT NULL AND kind <> 'correction';

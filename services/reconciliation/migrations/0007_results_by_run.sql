-- The lines that a run has settled, by where in the table they are: results are added a run after the other, and stay;
-- what the desk settles is of run 0, and between them, which is why a range of pages has several ranges of numbers. A
-- tree cost a fifth of a run, since all of a run's results have the same key. An expression still, so that no statement
-- of a run is planned by it. Made before the tree is dropped: reading goes on meanwhile.
CREATE INDEX results_of_run ON reconciliation.results USING brin ((run_no::bigint) int8_minmax_multi_ops)
  WITH (pages_per_range = 16, autosummarize = on) WHERE line IS NOT NULL;
DROP INDEX reconciliation.results_by_run;
ALTER INDEX reconciliation.results_of_run RENAME TO results_by_run;
-- The cycles that follow one in its calendar.
CREATE INDEX settlement_cycles_by_calendar ON reconciliation.settlement_cycles (calendar, cycle_no);

-- Superseded by line_undone_once.
DROP INDEX reconciliation.line_adjusted_once;

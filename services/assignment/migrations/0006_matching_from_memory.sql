-- The matcher keeps its cities in memory and looks for nothing due any more: these served its looks and nothing else. A
-- matcher of the version before finds the same by the indexes of what has not ended.
DROP INDEX assignment.deliveries_to_match, assignment.offers_to_expire, assignment.deliveries_cash;

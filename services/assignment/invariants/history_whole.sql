-- Promise 4: a delivery's history tells all of it: numbered from 1 without gaps, each step from where the one before
-- ended, the last one where the delivery is. Returns the deliveries whose history does not.
WITH steps AS (
  SELECT delivery_id, sequence, from_state, to_state,
    lag(to_state) OVER life AS before, row_number() OVER life AS place
  FROM assignment.delivery_changes WINDOW life AS (PARTITION BY delivery_id ORDER BY sequence)
)
SELECT d.id AS delivery_id, d.state, d.version
FROM assignment.deliveries d LEFT JOIN steps s ON s.delivery_id = d.id
GROUP BY d.id, d.state, d.version
HAVING count(s.sequence) <> d.version
  OR bool_or(s.sequence <> s.place OR s.from_state IS DISTINCT FROM s.before)
  OR NOT bool_or(s.sequence = d.version AND s.to_state = d.state);

-- Promise 6: a leg is settled once at most, and is not open then, but to be adjusted. Returns the legs of which that is
-- not so.
SELECT r.delivery_id, r.leg, count(*) AS settled, count(o.delivery_id) AS open
FROM reconciliation.results r
LEFT JOIN reconciliation.open_legs o ON o.delivery_id = r.delivery_id AND o.leg = r.leg
  AND o.outcome IS DISTINCT FROM 'late_adjustment'
WHERE r.is_settling
GROUP BY r.delivery_id, r.leg
HAVING count(*) > 1 OR count(o.delivery_id) > 0;

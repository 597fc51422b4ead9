-- Promise 1: a partner never holds more than its capacity. Returns the partners that do, counted from their offers.
SELECT p.id AS partner_id, count(*) AS parcels, p.parcels_max, sum(o.weight_g) AS weight_g, p.weight_g_max,
  sum(o.volume_cm3) AS volume_cm3, p.volume_cm3_max
FROM assignment.partners p JOIN assignment.offers o ON o.partner_id = p.id AND o.ended_at IS NULL
GROUP BY p.id
HAVING count(*) > p.parcels_max OR sum(o.weight_g) > p.weight_g_max OR sum(o.volume_cm3) > p.volume_cm3_max;

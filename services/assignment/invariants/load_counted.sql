-- Promise 1: what a partner is said to hold is what its live offers add up to. Returns the partners that differ.
SELECT p.id AS partner_id, p.parcels_held, p.weight_g_held, p.volume_cm3_held, held.*
FROM assignment.partners p
CROSS JOIN LATERAL (
  SELECT count(*) AS parcels, coalesce(sum(o.weight_g), 0) AS weight_g, coalesce(sum(o.volume_cm3), 0) AS volume_cm3
  FROM assignment.offers o WHERE o.partner_id = p.id AND o.ended_at IS NULL
) AS held
WHERE (p.parcels_held, p.weight_g_held, p.volume_cm3_held) <> (held.parcels, held.weight_g, held.volume_cm3);

-- Promise 1: a delivery that is with a partner has a live offer to that partner, and no other delivery has one.
-- Returns the deliveries that break it.
SELECT d.id AS delivery_id, d.state, d.partner_id, o.id AS offer_id, o.state AS offer_state
FROM assignment.deliveries d LEFT JOIN assignment.offers o ON o.delivery_id = d.id AND o.ended_at IS NULL
WHERE CASE
  WHEN d.state = 'offered' THEN o.state IS DISTINCT FROM 'open' OR o.partner_id IS DISTINCT FROM d.partner_id
  WHEN d.state IN ('assigned', 'picked_up', 'out_for_delivery', 'attempt_failed', 'returning')
    THEN o.state IS DISTINCT FROM 'accepted' OR o.partner_id IS DISTINCT FROM d.partner_id
  ELSE o.id IS NOT NULL
END;

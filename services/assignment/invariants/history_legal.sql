-- Promise 1: every step of every history is a transition of the lifecycle's table. Returns the steps that are not.
SELECT c.delivery_id, c.sequence, c.from_state, c.to_state
FROM assignment.delivery_changes c
WHERE (coalesce(c.from_state::text, ''), c.to_state::text) NOT IN (
  ('', 'pending'),
  ('pending', 'offered'),
  ('pending', 'assigned'),
  ('pending', 'cancelled'),
  ('offered', 'assigned'),
  ('offered', 'pending'),
  ('offered', 'cancelled'),
  ('assigned', 'picked_up'),
  ('assigned', 'pending'),
  ('assigned', 'cancelled'),
  ('picked_up', 'out_for_delivery'),
  ('picked_up', 'returning'),
  ('out_for_delivery', 'delivered'),
  ('out_for_delivery', 'attempt_failed'),
  ('attempt_failed', 'out_for_delivery'),
  ('attempt_failed', 'returning'),
  ('returning', 'returned'),
  ('delivered', 'cancelled'),
  ('delivered', 'delivered')
);

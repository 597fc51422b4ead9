-- Promise 1: what a partner holds has its place in the partner's route, its pickup before its drop. Returns the offers
-- that have none.
SELECT id AS offer_id, partner_id, pickup_rank, drop_rank FROM assignment.offers
WHERE ended_at IS NULL AND (pickup_rank < drop_rank) IS NOT TRUE;

-- Promise 1: a delivery has at most one live offer or assignment. Returns the deliveries that have more.
SELECT delivery_id, count(*) AS live_offers
FROM assignment.offers WHERE ended_at IS NULL GROUP BY delivery_id HAVING count(*) > 1;

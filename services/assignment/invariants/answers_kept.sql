-- Promise 2: an idempotency key is stored with its effect or not at all. Returns the stored answers that name a delivery,
-- offer, partner or merchant that does not exist, and those of a change of state that no history tells of.
--
-- An answer is protobuf: an id is a field number 1 of 36 bytes, which makes it a line feed, a dollar sign and the id.
WITH answers AS (
  SELECT scope, key, method, created_at, encode(response, 'escape') AS response FROM assignment.idempotency_keys
),
named AS (
  SELECT scope, key, method, created_at, id[1]::uuid AS id
  FROM answers CROSS JOIN LATERAL regexp_matches(
    response, E'\n\\$([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})', 'g') AS id
)
SELECT scope, key, method, id, 'NO_SUCH_ID' AS broken FROM named n
WHERE NOT EXISTS (SELECT FROM assignment.deliveries d WHERE d.id = n.id)
  AND NOT EXISTS (SELECT FROM assignment.offers o WHERE o.id = n.id)
  AND NOT EXISTS (SELECT FROM assignment.partners p WHERE p.id = n.id)
  AND NOT EXISTS (SELECT FROM assignment.merchants m WHERE m.id = n.id)
UNION ALL
SELECT scope, key, method, id, 'NO_SUCH_CHANGE' FROM named n
WHERE method ~ '/(CancelDelivery|RecordDeliveryStatus|CorrectProof)$'
  AND EXISTS (SELECT FROM assignment.deliveries d WHERE d.id = n.id)
  AND NOT EXISTS (
    SELECT FROM assignment.delivery_changes c
    WHERE c.delivery_id = n.id AND c.sequence > 1
      AND c.recorded_at BETWEEN n.created_at - interval '1 minute' AND n.created_at);

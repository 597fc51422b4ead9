-- Promise 2: a merchant's reference names one delivery, and every delivery that has one is found by it. Returns the
-- deliveries that are not.
SELECT d.id AS delivery_id, d.merchant_reference, r.delivery_id AS named
FROM assignment.deliveries d
LEFT JOIN assignment.delivery_references r ON r.merchant_id = d.merchant_id AND r.reference = d.merchant_reference
WHERE d.merchant_reference IS NOT NULL AND r.delivery_id IS DISTINCT FROM d.id;

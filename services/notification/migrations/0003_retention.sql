-- Forgetting: messages with their words, the deliveries that they told of, and customers whom nothing tells of any more.
CREATE INDEX deliveries_by_customer ON notification.deliveries (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX inbox_by_age ON notification.inbox (received_at);

GRANT DELETE ON notification.messages, notification.attempts, notification.deliveries, notification.recipients
  TO notification_worker;

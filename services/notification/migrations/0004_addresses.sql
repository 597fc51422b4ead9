-- Addresses: each reason why nothing is sent to one.
ALTER TABLE notification.suppressions
  -- What it is suppressed for besides `reason`: one that is lifted leaves the next.
  ADD COLUMN also text[] NOT NULL DEFAULT '{}';
GRANT UPDATE ON notification.suppressions TO notification_operator;
-- Where an attempt went: its recipient may have another address when the provider tells of it. Attempts from before have none.
ALTER TABLE notification.attempts ADD COLUMN address_sealed bytea;

-- What recipients have told providers, such as stop and start, for good: an old start that comes again would lift a newer stop.
CREATE TABLE notification.address_news (digest bytea PRIMARY KEY, received_at timestamptz NOT NULL);
GRANT SELECT, INSERT ON notification.address_news TO notification_operator;

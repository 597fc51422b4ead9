-- Addresses: each reason why nothing is sent to one.
ALTER TABLE notification.suppressions
  -- What it is suppressed for besides `reason`: one that is lifted leaves the next.
  ADD COLUMN also text[] NOT NULL DEFAULT '{}';
GRANT UPDATE ON notification.suppressions TO notification_operator;
-- Where an attempt went: its recipient may have another address when the provider tells of it. Attempts from before have none.
ALTER TABLE notification.attempts ADD COLUMN address_sealed bytea;

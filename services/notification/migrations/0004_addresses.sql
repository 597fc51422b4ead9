-- Addresses: each reason why nothing is sent to one.
ALTER TABLE notification.suppressions
  -- What it is suppressed for besides `reason`: one that is lifted leaves the next.
  ADD COLUMN also text[] NOT NULL DEFAULT '{}';
GRANT UPDATE ON notification.suppressions TO notification_operator;

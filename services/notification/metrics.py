"""What the notification service counts."""

from prometheus_client import Counter, Gauge

PLANNED = Counter("lastmile_notification_planned", "Messages planned", ["channel", "audience"])
CONTACTS_CLOSED = Counter(
    "lastmile_notification_contacts_closed", "Customers' contacts that do not open: sealed for another key"
)
OUTCOMES = Counter(
    "lastmile_notification_outcomes", "Attempts by what became of them", ["channel", "provider", "outcome"]
)
UNSENT = Counter("lastmile_notification_unsent", "Messages that no provider was asked to send", ["reason"])
RECEIPTS = Counter(
    "lastmile_notification_receipts", "Receipts by provider and what became of them", ["provider", "outcome"]
)
FORGOTTEN = Counter("lastmile_notification_forgotten", "Rows that were older than they are kept", ["what"])
OLDEST_DUE = Gauge(
    "lastmile_notification_oldest_due_seconds", "How long the message that is due longest waits", ["channel"]
)

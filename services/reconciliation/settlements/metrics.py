"""What closing cycles counts."""

from prometheus_client import Counter

CLOSED = Counter("lastmile_reconciliation_cycles_closed", "Settlement cycles closed")
FAILURES = Counter(
    "lastmile_reconciliation_closing_failures", "Pieces of closing a cycle that failed and are tried again"
)

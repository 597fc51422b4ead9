"""What the consumer counts."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

BOOKED = Counter("lastmile_reconciliation_entries_booked", "Entries booked", ["kind"])
WAITING = Gauge("lastmile_reconciliation_deliveries_waiting", "Deliveries that cannot be paid yet", ["reason"])
_KINDS = ("earnings", "correction", "reversal")
_REASONS = ("EVENTS_MISSING", "PARTNER_UNKNOWN", "RATE_CARD_MISSING", "STORY_UNREADABLE")


def count(outcomes: Mapping[str, int]) -> None:
    """Count what was booked."""
    for kind in _KINDS:
        BOOKED.labels(kind).inc(outcomes.get(kind, 0))


def set_waiting(waiting: Mapping[str, int]) -> None:
    """State how many deliveries wait, by what for."""
    for reason in _REASONS:
        WAITING.labels(reason).set(waiting.get(reason, 0))

"""What an alert is, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.notification.alerts.lifecycle import AlertState

# Counts of an impact stop here: beyond it a number says nothing more.
COUNTED_MAX = 10_000


class Kind(StrEnum):
    """What has an outage."""

    NETWORK = "network"
    PROVIDER = "provider"
    QUEUE = "queue"
    STREAM = "stream"


class Symptom(StrEnum):
    """By what an outage is known."""

    CIRCUIT_OPEN = "circuit_open"
    SILENT = "silent"
    FAILING = "failing"
    SLOW = "slow"
    RECEIPTS_MISSING = "receipts_missing"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What an alert is about: of each there is one alert at a time."""

    kind: Kind
    subject: str


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom and what an outage affects; each count stops at COUNTED_MAX."""

    partners: int = 0
    offers_withdrawn: int = 0
    deliveries_rematched: int = 0
    messages_waiting: int = 0
    messages_unknown: int = 0
    merchants: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept."""

    id: UUID
    key: Key
    state: AlertState
    symptoms: frozenset[Symptom]
    what: str
    action: str
    impact: Impact
    since: datetime
    opened_at: datetime
    acknowledged_by: str
    acknowledged_at: datetime | None
    recovered_at: datetime | None
    relapses: int
    version: int

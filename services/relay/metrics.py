"""What the relay counts."""

from prometheus_client import Counter, Gauge

APPENDED = Counter("lastmile_relay_events_appended", "Events appended to their streams")
REPLAYED = Counter("lastmile_relay_events_replayed", "Events read again, which their streams had already")
LEADING = Gauge("lastmile_relay_leading", "1 while this process reads the slot, 0 while it stands by")
RETAINED = Gauge("lastmile_relay_retained_bytes", "Log that PostgreSQL holds back for the slot")
RETAINED_ALARM = Gauge("lastmile_relay_retained_alarm_bytes", "Retained log from which the alarm is raised")
TRIMMED = Counter("lastmile_relay_events_trimmed", "Events that every consumer had read, removed from their streams")

"""What consumers count, by consumer group."""

from prometheus_client import Counter, Gauge

HANDLED = Counter("lastmile_consumer_events_handled", "Events that a consumer is done with", ["consumer"])
FAILED = Counter("lastmile_consumer_batches_failed", "Calls of a handler that raised", ["consumer"])
DEAD = Counter("lastmile_consumer_dead_letters", "Events that a consumer gave up on", ["consumer", "why"])
WAITING = Gauge("lastmile_consumer_events_waiting", "Events read and not yet begun in this process", ["consumer"])
LAG = Gauge("lastmile_consumer_lag_events", "Events of this process's cities that were not read yet", ["consumer"])
CITIES = Gauge("lastmile_consumer_cities", "Cities that this process reads", ["consumer"])

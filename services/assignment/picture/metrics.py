"""What the matcher counts of its pictures and windows."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("lastmile_matcher_events", "Events that pictures were told, by what they were to them", ["heard"])
REBUILDS = Counter("lastmile_matcher_rebuilds", "Pictures made from the database, by why", ["why"])
REBUILD_S = Histogram("lastmile_matcher_rebuild_seconds", "How long that took")
REFRESHED = Counter("lastmile_matcher_refreshed", "Partners and deliveries read again by themselves", ["why"])
RECONCILED = Counter("lastmile_matcher_reconciled", "Comparisons of a picture with the database", ["outcome"])
DRIFT = Counter("lastmile_matcher_drift", "Differences that no event on its way explained, by kind", ["kind"])
WITHOUT_EVENTS = Gauge("lastmile_matcher_cities_without_events", "Cities matched from repeated reads of the database")
FAILING = Gauge("lastmile_matcher_city_failing", "1 from a bug in a city's matching until it goes well again", ["city"])
FAILURES = Counter("lastmile_matcher_failures", "Bugs that stopped a city's matching for a while", ["city"])

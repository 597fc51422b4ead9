"""What the cache counts. `query` is the RPC's name."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
HITS = Counter("lastmile_cache_hits", "Answers from the cache, within their window", ["query"])
STALE = Counter("lastmile_cache_stale_served", "Outdated answers given while they are refreshed", ["query"])
OUTAGE = Counter("lastmile_cache_outage_served", "Answers from the cache because nothing else could answer", ["query"])
MISSES = Counter("lastmile_cache_misses", "Calls for which the cache had no answer that could be given", ["query"])
AWAY = Counter("lastmile_cache_away", "Calls that went past the cache because Redis was away", ["query"])
REFRESHES = Counter("lastmile_cache_refreshes", "Answers made anew: queries that reached the database", ["query"])
NOT_KEPT = Counter("lastmile_cache_not_kept", "Answers that were not kept", ["why"])
AGE = Histogram("lastmile_answer_age_seconds", "Age of the answers of queries", ["source"], buckets=_SECONDS)

"""What queries count."""

from prometheus_client import Counter

PRIMARY_QUERIES = Counter(
    "lastmile_queries_on_primary", "Queries that asked the primary, for want of a standby that could answer", ["why"]
)
PRIMARY_REFUSED = Counter(
    "lastmile_queries_refused", "Queries that were refused because the primary's budget was spent"
)

"""What the api counts of papers."""

from prometheus_client import Counter, Gauge, Histogram

RENDERED_S = Histogram(
    "lastmile_reconciliation_paper_seconds", "From when a paper was asked for to when it was there", ["kind"]
)
REFUSED = Counter("lastmile_reconciliation_papers_refused", "Papers that were not made", ["reason"])
WAITING = Gauge("lastmile_reconciliation_papers_waiting", "Papers that are rendered or wait for it")

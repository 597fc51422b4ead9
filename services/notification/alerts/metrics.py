"""What alerts count."""

from prometheus_client import Counter, Gauge

CHANGES = Counter("lastmile_alerts", "What became of alerts", ["kind", "change"])
OPEN = Gauge("lastmile_alerts_open", "Alerts that are not over, by the alerter that leads")
LEADS = Gauge("lastmile_alerter_leads", "Whether this alerter leads: 1, or 0 while it stands by")

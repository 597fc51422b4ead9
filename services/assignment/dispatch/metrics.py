"""What dispatching counts, by network."""

from prometheus_client import Counter

TOLD = Counter("lastmile_dispatch_told", "Offers, and ends of offers, that a network was told of", ["network", "what"])
NOT_TOLD = Counter("lastmile_dispatch_failed", "Tries that did not end well, by error", ["network", "error"])
GIVEN_UP = Counter("lastmile_dispatch_given_up", "What a network could not be told in its time", ["network", "what"])
WITHDRAWN = Counter("lastmile_dispatch_withdrawn", "Unanswered offers taken back from a network down", ["network"])
UPDATES = Counter("lastmile_dispatch_updates", "Updates from networks, by what they came to", ["network", "outcome"])
REFUSED = Counter("lastmile_dispatch_webhooks_refused", "Webhooks refused before they were read", ["network", "reason"])
REPLAYED = Counter("lastmile_dispatch_webhooks_replayed", "Webhooks that came before", ["network"])

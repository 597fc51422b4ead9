"""What workers count."""

from prometheus_client import Counter

CHUNKS = Counter("lastmile_reconciliation_chunk_states", "States of chunks that were done", ["state"])
QUARANTINED = Counter("lastmile_reconciliation_chunks_quarantined", "Chunks that were given up")

"""The events of runs."""

from collections.abc import Mapping
from datetime import datetime

from lastmile.events.v1 import event_pb2

from libs.streams.codec import encode
from services.reconciliation.runs.codec import run_to
from services.reconciliation.runs.run import Run

SOURCE = "/reconciliation"
# The payload's field in Event -> the event's type.
TYPES = {"run_progressed": "lastmile.reconciliation.run_progressed.v1"}


def progressed_event(run: Run, states: Mapping[str, int], quarantined: int, sequence: int, at: datetime) -> str:
    """Return the event of how far a run is. It belongs to no city and no merchant: ops alone see it."""
    told = event_pb2.RunProgressed(run=run_to(run), chunks_by_state=states, chunks_quarantined=quarantined)
    event, kind = event_pb2.Event(run_progressed=told), TYPES["run_progressed"]
    return encode(event, kind, SOURCE, subject=f"runs/{run.run_no}", city_code="", sequence=sequence, at=at)

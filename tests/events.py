"""Events as the assignment service writes them, and streams with them."""

import uuid
from datetime import UTC, datetime

import redis.asyncio as redis
from lastmile.assignment.v1 import delivery_pb2
from lastmile.events.v1 import event_pb2

from libs.streams.names import FIELD, STREAMS, StreamName
from services.assignment.events import event_text

EPOCH = 1


def event_bytes(subject: str, sequence: int, city_code: str = "BLR") -> bytes:
    """An event of a delivery as it is in the log; its change's reason says `sequence` once more."""
    change = delivery_pb2.DeliveryChange(reason=str(sequence))
    event = event_pb2.Event(delivery_state_changed=event_pb2.DeliveryStateChanged(delivery_id=subject, change=change))
    at = datetime.now(UTC)
    return event_text(event, subject=subject, city_code=city_code, sequence=sequence, at=at).encode()


def new_city() -> str:
    """The code of a city of the test's own."""
    return f"T{uuid.uuid4().hex[:10].upper()}"


class Writer:
    """Appends to a city's stream as the relay does, with ids that ascend."""

    def __init__(self, client: redis.Redis, city_code: str, epoch: int = EPOCH) -> None:
        self.city_code = city_code
        self.stream = str(StreamName(city_code, epoch))
        self._client = client
        self._position = 0

    async def append(self, *contents: bytes) -> None:
        async with self._client.pipeline() as pipeline:
            pipeline.sadd(STREAMS, self.stream)
            for content in contents:
                self._position += 1
                pipeline.xadd(self.stream, {FIELD: content}, id=f"{self._position}-0")
            await pipeline.execute()

    async def append_interleaved(self, subjects: int, events_each: int) -> None:
        """For each subject `events_each` events, one of each subject after the other."""
        for sequence in range(1, events_each + 1):
            await self.append(*(event_bytes(f"deliveries/{n}", sequence, self.city_code) for n in range(subjects)))

"""The event codec: what each change publishes, as CloudEvents 1.0 JSON whose data is the protobuf Event.

JSON text, because a log reader of another make must be able to route it; protobuf inside, because that is the contract.
"""

from datetime import datetime

from lastmile.events.v1 import event_pb2

from libs.streams.codec import encode, timestamp

__all__ = ["LOG_PREFIX", "SOURCE", "TYPES", "event_text", "timestamp"]

LOG_PREFIX = "lastmile.events"
SOURCE = "/assignment"
# The payload's field in Event -> the event's type.
TYPES = {
    "city_changed": "lastmile.city.changed.v1",
    "merchant_created": "lastmile.merchant.created.v1",
    "partner_changed": "lastmile.partner.changed.v1",
    "delivery_created": "lastmile.delivery.created.v1",
    "delivery_state_changed": "lastmile.delivery.state_changed.v1",
    "merchant_partners_changed": "lastmile.merchant.partners_changed.v1",
    "partner_network_changed": "lastmile.partner_network.changed.v1",
}


def event_text(
    event: event_pb2.Event, *, subject: str, city_code: str, sequence: int, at: datetime, merchant_id: str = "",
    traceparent: str = "",
) -> str:  # fmt: skip
    """Complete `event`, whose data is set, with its attributes, and return it as the text for the write-ahead log."""
    event_type = TYPES[str(event.WhichOneof("data"))]
    return encode(
        event, event_type, SOURCE, subject=subject, city_code=city_code, sequence=sequence, at=at,
        merchant_id=merchant_id, traceparent=traceparent,
    )  # fmt: skip

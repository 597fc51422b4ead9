"""The envelope: CloudEvents 1.0 as JSON, whose data_base64 is the protobuf lastmile.events.v1.Event."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.events.v1 import event_pb2

from libs.ids import new_id_text
from libs.streams.names import DEBEZIUM_FIELD, FIELD, NO_CITY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What json.dumps uses, without its search for cycles in a flat object.
_ENCODER = json.JSONEncoder(check_circular=False, separators=(",", ":"))


class UndecodableEventError(ValueError):
    """The bytes are no event; the message says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a handler gets it: where it stands, its bytes, and the decoded message with all its attributes."""

    stream: str
    entry_id: str
    raw: bytes
    message: event_pb2.Event

    @property
    def id(self) -> str:
        """The event's UUIDv7: a handler's transaction refuses an id that it has seen."""
        return self.message.id

    @property
    def subject(self) -> str:
        """The aggregate."""
        return self.message.subject


def content_of(fields: Mapping[bytes, bytes]) -> bytes | None:
    """Return the envelope that a stream's entry holds: in the relay's field, or in that of Debezium's Redis sink."""
    return fields.get(FIELD, fields.get(DEBEZIUM_FIELD))


def decode(stream: str, entry_id: str, raw: bytes | None) -> Event:
    """Return the event of a stream's entry; UndecodableEventError when it is none."""
    if raw is None:
        raise UndecodableEventError("the entry has no field 'event'")
    try:
        message = event_pb2.Event.FromString(base64.b64decode(json.loads(raw.decode())["data_base64"], validate=True))
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, DecodeError) as error:
        raise UndecodableEventError(f"{type(error).__name__}: {error}") from error
    if not (message.id and message.type and message.subject):
        raise UndecodableEventError("the event lacks its id, type or subject")
    return Event(stream, entry_id, raw, message)


def city_of(content: bytes) -> str:
    """Return the city code that an event's envelope names, empty for none; UndecodableEventError for no envelope."""
    try:
        city_code = json.loads(content.decode()).get("citycode", "")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UndecodableEventError(f"{type(error).__name__}: {error}") from error
    if not isinstance(city_code, str) or not city_code.replace("_", "").replace("-", "").isalnum():
        if city_code in ("", NO_CITY):
            return ""
        raise UndecodableEventError(f"no city code: {city_code!r:.100}")
    return city_code


def encode(
    event: event_pb2.Event, event_type: str, source: str, *, subject: str, city_code: str, sequence: int, at: datetime,
    merchant_id: str = "", traceparent: str = "",
) -> str:  # fmt: skip
    """Complete `event`, whose data is set, with its attributes, and return it as the text for the write-ahead log."""
    event.id = new_id_text()
    event.type = event_type
    event.source = source
    event.subject = subject
    event.time.CopyFrom(timestamp(at))
    event.merchant_id = merchant_id
    event.city_code = city_code
    event.sequence = sequence
    event.traceparent = traceparent
    envelope = {
        "specversion": "1.0",
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": subject,
        "time": at.isoformat(),
        "datacontenttype": "application/protobuf",
        "dataschema": event.DESCRIPTOR.full_name,
        "merchantid": merchant_id,
        # Named though it is none: whoever routes by it, as Debezium does, cannot go by what is absent.
        "citycode": city_code or NO_CITY,
        "sequence": str(sequence),
        "traceparent": traceparent,
        "data_base64": base64.b64encode(event.SerializeToString()).decode(),
    }
    return _ENCODER.encode({name: value for name, value in envelope.items() if value})


def timestamp(at: datetime) -> Timestamp:
    """Return a datetime as the protobuf type."""
    since = at - _EPOCH
    # What FromDatetime does, in a third of its time: every row of a batch has five of them.
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)

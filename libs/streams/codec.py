"""The envelope: CloudEvents 1.0 as JSON, whose data_base64 is the protobuf lastmile.events.v1.Event."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from lastmile.events.v1 import event_pb2

from libs.streams.names import DEBEZIUM_FIELD, FIELD, NO_CITY


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

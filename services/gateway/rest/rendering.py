"""Messages as JSON values, by functions that are made once for each type of message.

It is `google.protobuf.json_format` without what that finds out anew for every field of every message; a test compares
the two for messages of every answer. Types that JSON writes in a way of their own are left to json_format.
"""

import math
from base64 import b64encode
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_F = FieldDescriptor
_Convert = Callable[[Any], Any]
# (name in JSON, name in Python, whether it may be absent, how its value is written; None: as it is)
_Plan = list[tuple[str, str, bool, _Convert | None]]
_SAID_BY_THEMSELVES = {"google.protobuf.Duration", "google.protobuf.FieldMask"}
# A list is written again and again with most of its rows as they were, and a third of the work is their times.
_TIMES_REMEMBERED = 20_000
_INT64 = {_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64}


def value_of(message: Message) -> Any:
    """Return what `json_format.MessageToDict` does for a message, fields without presence included."""
    return _writer(message.DESCRIPTOR)(message)


@cache
def _writer(descriptor: Descriptor) -> _Convert:
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        return lambda message: _time(message.seconds, message.nanos)
    if descriptor.full_name in _SAID_BY_THEMSELVES:
        return lambda message: message.ToJsonString()
    if descriptor.full_name.startswith("google.protobuf.") or any(f.type == _F.TYPE_FLOAT for f in descriptor.fields):
        return lambda message: json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    plan: _Plan = [(field.json_name, field.name, field.has_presence, _field(field)) for field in descriptor.fields]

    def write(message: Any) -> dict[str, Any]:
        value = {}
        for json_name, name, may_be_absent, convert in plan:
            if may_be_absent and not message.HasField(name):
                continue
            given = getattr(message, name)
            value[json_name] = given if convert is None else convert(given)
        return value

    return write


@lru_cache(_TIMES_REMEMBERED)
def _time(seconds: int, nanos: int) -> str:
    return Timestamp(seconds=seconds, nanos=nanos).ToJsonString()


def _field(field: FieldDescriptor) -> _Convert | None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field.message_type)
    convert = _single(field)
    if not field.is_repeated:
        return convert
    return list if convert is None else lambda items: [convert(item) for item in items]


def _map(entry: Descriptor) -> _Convert:
    key, convert = entry.fields_by_name["key"], _single(entry.fields_by_name["value"])
    name = (lambda given: "true" if given else "false") if key.type == _F.TYPE_BOOL else str

    def write(given: Any) -> dict[str, Any]:
        return {name(key): item if convert is None else convert(item) for key, item in given.items()}

    return write


def _single(field: FieldDescriptor) -> _Convert | None:
    if field.message_type is not None:
        return _held(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in _INT64:
        return str
    if field.type == _F.TYPE_BYTES:
        return lambda given: b64encode(given).decode()
    return _double if field.type == _F.TYPE_DOUBLE else None


def _held(descriptor: Descriptor) -> _Convert:
    # Made at the first use: a type that holds its own would never be done.
    writer: _Convert | None = None

    def write(message: Any) -> Any:
        nonlocal writer
        if writer is None:
            writer = _writer(descriptor)
        return writer(message)

    return write


def _enum(kind: EnumDescriptor) -> _Convert:
    names = {number: value.name for number, value in kind.values_by_number.items()}
    return lambda number: names.get(number, number)


def _double(given: float) -> float | str:
    if math.isfinite(given):
        return given
    return "NaN" if math.isnan(given) else "Infinity" if given > 0 else "-Infinity"

"""A request's message from its bytes, once the caller is known: lists that are far too long are cut before parsing.

An empty item is two bytes on the wire and a hundred in memory, and each costs time in every check. A list of the
request itself that is too long is refused here. One deeper down, such as in a row of a batch, is cut to one item more
than it may have, so that the check of that row refuses it and the other rows lose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError

# A message of no more bytes cannot hold enough items to matter, and is not looked through.
PLAIN_BYTES_MAX = 1_024
# A deeper list is read on this far beyond its limit, for the fields that may follow; then its message ends.
EXCESS_ITEMS_MAX = 1_000
# The largest request that keeps every limit has half as many; looking at one field takes a microsecond.
FIELDS_MAX = 500_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CONTINUED = bytes(range(128, 256))
_F = FieldDescriptor
_PACKED = {_F.TYPE_ENUM, _F.TYPE_BOOL, _F.TYPE_INT32, _F.TYPE_INT64, _F.TYPE_UINT32, _F.TYPE_UINT64}


def decode(data: bytes, made: type[Message]) -> Message:
    """Return the message; InvalidArgumentError for bytes that are none, or for a list above its limit."""
    try:
        return made.FromString(_Cutter().cut(data, cast(Descriptor, made.DESCRIPTOR), outermost=True))
    except (DecodeError, IndexError):
        name = made.DESCRIPTOR.full_name
        raise InvalidArgumentError(f"the request is not a well-formed {name}", reason="MALFORMED_MESSAGE") from None


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that may hold many items: the name, the items it may have or 0, and what the items are."""

    name: str
    items_max: int
    inner: Descriptor | None
    is_packed: bool


@cache
def _fields_of(message: Descriptor) -> Mapping[int, _Field]:
    """Return, by number, the fields that are a limited list or a message."""
    found = {}
    for field in message.fields:
        items_max = field.GetOptions().Extensions[validate_pb2.field].repeated.max_items if field.is_repeated else 0
        if items_max or field.message_type is not None:
            found[field.number] = _Field(field.name, items_max, field.message_type, field.type in _PACKED)
    return found


class _Cutter:
    """Cuts one request."""

    def __init__(self) -> None:
        self._fields_left = FIELDS_MAX

    def cut(self, data: bytes, message: Descriptor, *, outermost: bool = False) -> bytes:
        """Return `data`, a message of this kind, without what its lists have too many."""
        fields = _fields_of(message)
        if len(data) <= PLAIN_BYTES_MAX or not fields:
            return data
        kept: list[bytes] = []
        counts = dict.fromkeys(fields, 0)
        at = copied = 0
        while at < len(data):
            self._count_field()
            start = at
            tag, at = _varint(data, at)
            body, at = _value(data, tag & 7, at)
            field = fields.get(tag >> 3)
            if field is None:
                continue
            value = data[body:at]
            many = field.is_packed and tag & 7 == _BYTES
            count = len(value.translate(None, _CONTINUED)) if many else 1
            counts[tag >> 3] += count
            excess = counts[tag >> 3] - field.items_max if field.items_max else 0
            if excess > 0 and outermost:
                said = f"must contain no more than {field.items_max} item(s)"
                raise InvalidArgumentError.of(FieldViolation(field.name, said, "repeated.max_items"))
            if excess - count > EXCESS_ITEMS_MAX:
                return b"".join((*kept, data[copied:start]))
            if excess > 1:
                short = _first(value, count - excess + 1) if many else b""
            else:
                short = value if field.inner is None else self.cut(value, field.inner)
            if len(short) != len(value) or excess > 1:
                kept.append(data[copied:start])
                copied = at
                if short:
                    kept += (_written(tag), _written(len(short)), short)
        return b"".join((*kept, data[copied:])) if kept else data

    def _count_field(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise InvalidArgumentError(
                f"the request has more than {FIELDS_MAX} fields and items", reason="MALFORMED_MESSAGE"
            )


def _first(value: bytes, count: int) -> bytes:
    """Return the first `count` numbers of many that come at once."""
    at = 0
    for _ in range(max(0, count)):
        _, at = _varint(value, at)
    return value[:at]


def _value(data: bytes, wire_type: int, at: int) -> tuple[int, int]:
    """Return where the value that starts at `at` has its content, and where it ends."""
    if wire_type == _VARINT:
        return at, _varint(data, at)[1]
    if wire_type == _BYTES:
        size, at = _varint(data, at)
    elif wire_type in (_FIXED64, _FIXED32):
        size = 8 if wire_type == _FIXED64 else 4
    else:
        raise DecodeError("groups are not used")
    if at + size > len(data):
        raise DecodeError("ends too early")
    return at, at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while byte >= 128:
        at += 1
        if shift > 63:
            raise DecodeError("a number is too long")
        byte = data[at]
        value |= (byte & 127) << shift
        shift += 7
    return value, at + 1


def _written(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))

"""Protobuf messages of any type for property-based tests, made from their descriptors."""

import math
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from services.gateway.app import service_descriptors

_F = FieldDescriptor
_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_UINT32 = st.integers(0, 2**32 - 1)
_UINT64 = st.integers(0, 2**64 - 1)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _F.TYPE_INT32: _INT32,
    _F.TYPE_INT64: _INT64,
    _F.TYPE_UINT32: _UINT32,
    _F.TYPE_UINT64: _UINT64,
    _F.TYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False).map(lambda value: math.copysign(value, 1)),
    _F.TYPE_BOOL: st.booleans(),
    _F.TYPE_STRING: st.text(max_size=12),
    _F.TYPE_BYTES: st.binary(max_size=12),
}
# From the year 1 to the year 9999, which is what a Timestamp may hold.
_SECONDS = st.integers(-62_135_596_800, 253_402_300_799)
REQUESTS: list[Descriptor] = [method.input_type for service in service_descriptors() for method in service.methods]
ANSWERS: list[Descriptor] = [method.output_type for service in service_descriptors() for method in service.methods]


def messages(descriptor: Descriptor, depth: int = 3) -> st.SearchStrategy[Message]:
    """Return messages of a type, every field free within its type; below `depth` messages are empty."""
    cls = message_factory.GetMessageClass(descriptor)
    if descriptor.full_name == "google.protobuf.Timestamp":
        return st.builds(cls, seconds=_SECONDS, nanos=st.integers(0, 999_999_999))
    if not depth:
        return st.just(cls())
    fields = {field.name: _field(field, depth) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: cls(**values))


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (_single(field.message_type.fields_by_name[name], depth) for name in ("key", "value"))
        return st.dictionaries(key, value, max_size=2)
    return st.lists(_single(field, depth), max_size=2) if field.is_repeated else _single(field, depth)


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.message_type is not None:
        return messages(field.message_type, depth - 1)
    return _SCALARS[field.type]

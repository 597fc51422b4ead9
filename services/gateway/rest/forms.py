"""What a JSON body has wrong in form: every field that does, where the codec stops at the first; lists cut short."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.gateway.rest.codec import JsonCodec, JsonRefusedError

# What an answer names of a body with more errors than anybody reads.
ERRORS_MAX = 100

_F = FieldDescriptor
_WHOLE = (_F.TYPE_INT32, _F.TYPE_INT64, _F.TYPE_UINT32, _F.TYPE_UINT64, _F.TYPE_SINT32, _F.TYPE_SINT64)
_WANTED = {
    **dict.fromkeys(_WHOLE, "must be a whole number that fits its type"),
    _F.TYPE_DOUBLE: "must be a number",
    _F.TYPE_FLOAT: "must be a number",
    _F.TYPE_BOOL: "must be true or false",
    _F.TYPE_STRING: "must be text of Unicode characters",
    _F.TYPE_BYTES: "must be text in base64",
}
Wrong = tuple[str, str, str]


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Return the field that JSON may call `name`, or None."""
    if not name.isascii():  # as no field is; descriptors fail at half a surrogate pair
        return None
    return message.fields_by_camelcase_name.get(name) or message.fields_by_name.get(name)


def clip(message: Descriptor, value: Mapping[str, Any]) -> None:
    """Cut every list and map in `value` to one item more than it may have: as wrong as before, but no longer costly.

    The service that checks the rules refuses the list all the same, in the one row of a batch that holds it.
    """
    lists = _lists_of(message)
    for name, given in value.items():
        items_max, inner = lists.get(name, (0, None))
        if items_max and isinstance(given, list):
            del given[items_max + 1 :]
        if inner is not None and _is_entry(inner):
            _clip_map(inner, given, items_max)
        elif inner is not None:
            for item in given if isinstance(given, list) else (given,):
                if isinstance(item, dict):
                    clip(inner, item)


def _clip_map(entry: Descriptor, given: Any, pairs_max: int) -> None:
    if not isinstance(given, dict):
        return
    for key in list(islice(given, pairs_max + 1, None)) if pairs_max else ():
        del given[key]
    inner = entry.fields_by_name["value"].message_type
    if inner is not None and not _is_well_known(inner):
        for item in given.values():
            if isinstance(item, dict):
                clip(inner, item)


@cache
def _lists_of(message: Descriptor) -> Mapping[str, tuple[int, Descriptor | None]]:
    """Return, by either name of each field that is a list or an object: items it may have or 0, and what they are."""
    found: dict[str, tuple[int, Descriptor | None]] = {}
    for field in message.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        items_max = rules.repeated.max_items or rules.map.max_pairs
        inner = field.message_type
        if inner is not None and _is_well_known(inner):
            inner = None
        if items_max or inner is not None:
            found[field.name] = found[field.json_name] = (items_max, inner)
    return found


def wrong_fields(message: Descriptor, value: Mapping[str, Any], codec: JsonCodec) -> list[Wrong]:
    """Return (field, description, rule) of each field that `codec` refuses in `message`, the first ERRORS_MAX."""
    return list(islice(_in_object(message, value, "", codec), ERRORS_MAX))


def _in_object(message: Descriptor, value: Mapping[str, Any], prefix: str, codec: JsonCodec) -> Iterator[Wrong]:
    for name, given in value.items():
        path = f"{prefix}{name}"
        field = field_named(message, name)
        if field is None:
            yield path, "is no field of this request", "json.unknown"
        elif given is not None and not _fits(message, field, given, codec):
            yield from _in_field(message, field, given, path, codec)


def _in_field(message: Descriptor, field: FieldDescriptor, given: Any, path: str, codec: JsonCodec) -> Iterator[Wrong]:
    if not field.is_repeated:
        yield from _in_value(field, given, path, codec)
    elif _is_map(field) and isinstance(given, dict):
        yield from _in_map(message, field, given, path, codec)
    elif _is_map(field) or not isinstance(given, list):
        yield path, f"must be {'an object' if _is_map(field) else 'an array'}", "json.form"
    else:
        for place, item in enumerate(given):
            if not _fits(message, field, [item], codec):
                yield from _in_value(field, item, f"{path}[{place}]", codec)


def _in_map(
    message: Descriptor, field: FieldDescriptor, given: dict[str, Any], path: str, codec: JsonCodec
) -> Iterator[Wrong]:
    entry = field.message_type
    for key, item in given.items():
        place = f"{path}[{key!r}]"
        if not _fits(message, field, {key: item}, codec):
            if entry is None or _fits(message, field, {"key": item}, codec):
                yield place, "its name must be text of Unicode characters", "json.form"
            else:
                yield from _in_value(entry.fields_by_name["value"], item, place, codec)


def _in_value(field: FieldDescriptor, given: Any, path: str, codec: JsonCodec) -> Iterator[Wrong]:
    if field.message_type is None or _is_well_known(field.message_type):
        yield path, _wanted(field), "json.form"
    elif not isinstance(given, dict):
        yield path, "must be an object", "json.form"
    else:
        yield from _in_object(field.message_type, given, f"{path}.", codec)


def _fits(message: Descriptor, field: FieldDescriptor, given: Any, codec: JsonCodec) -> bool:
    try:
        codec.parse({field.json_name: given}, message_factory.GetMessageClass(message)())
    except JsonRefusedError:
        return False
    return True


def _wanted(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return "must be one of " + ", ".join(value.name for value in field.enum_type.values if value.number)
    if field.message_type is not None and field.message_type.name == "Timestamp":
        return "must be a time in RFC 3339, such as 2027-01-31T09:30:00Z"
    return _WANTED.get(field.type, "has the wrong form")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and _is_entry(field.message_type)


def _is_entry(message: Descriptor) -> bool:
    return bool(message.GetOptions().map_entry)


def _is_well_known(message: Descriptor) -> bool:
    return message.full_name.startswith("google.protobuf.")

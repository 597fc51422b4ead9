"""Protobuf messages as JSON Schema: their proto3 JSON form, with the rules of buf.validate."""

from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from services.gateway.rest.comments import Comments

Schema = dict[str, Any]
_F = FieldDescriptor
_INT32 = {_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_FIXED32, _F.TYPE_SFIXED32}
_INT64 = {_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64}
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


class Schemas:
    """Makes and keeps the schema of each message, once for requests, which keep rules, and once for answers."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def of_message(self, message: Descriptor, *, request: bool) -> Schema:
        """Return a reference to the message's schema."""
        name = f"{message.name}{'Input' if request and not message.name.endswith('Request') else ''}"
        if name not in self.components:
            self.components[name] = {}  # stands for itself where it contains itself
            self.components[name] = self._object(message, request)
        return {"$ref": f"#/components/schemas/{name}"}

    def of_field(self, field: FieldDescriptor, *, request: bool) -> Schema:
        """Return a field's schema with its comment and, for requests, its rules."""
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = self._single(field.message_type.fields_by_name["value"], None, request)
            schema: Schema = {"type": "object", "additionalProperties": value}
        elif field.is_repeated:
            items = rules.repeated.items if rules.HasField("repeated") and rules.repeated.HasField("items") else None
            if items is not None and items.ignore == validate_pb2.IGNORE_ALWAYS:
                items = None
            schema = {"type": "array", "items": self._single(field, items, request)}
            if request and rules.HasField("repeated"):
                schema |= _present(rules.repeated, min_items="minItems", max_items="maxItems", unique="uniqueItems")
        else:
            schema = self._single(field, rules, request)
        comment = self._comments.get(field.full_name)
        return schema | {"description": comment} if comment else schema

    def is_required(self, field: FieldDescriptor) -> bool:
        """Whether a request without the field is always refused."""
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if rules.required:
            return True
        if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE or field.is_repeated:
            return bool(rules.repeated.min_items)
        numbers = rules.int32 if rules.HasField("int32") else rules.int64 if rules.HasField("int64") else None
        return bool(
            rules.string.min_len
            or rules.string.uuid
            or 0 in rules.enum.not_in
            or getattr(rules.enum, "in")
            or (numbers is not None and numbers.gte > 0)
            or (rules.HasField("string") and rules.string.pattern.startswith("^[A-Z]"))
        )

    def _object(self, message: Descriptor, request: bool) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {field.json_name: self.of_field(field, request=request) for field in message.fields},
        }
        if request:
            schema["additionalProperties"] = False
            required = [field.json_name for field in message.fields if self.is_required(field)]
            if required:
                schema["required"] = required
        comment = self._comments.get(message.full_name)
        return schema | {"description": comment} if comment else schema

    def _single(self, field: FieldDescriptor, rules: validate_pb2.FieldRules | None, request: bool) -> Schema:
        kept = rules if request else None
        if field.message_type is not None:
            if field.message_type.full_name == "google.protobuf.Timestamp":
                return {"type": "string", "format": "date-time"}
            return self.of_message(field.message_type, request=request)
        if field.enum_type is not None:
            return _enum(field.enum_type, kept)
        return _scalar(field, kept)


def _scalar(field: FieldDescriptor, rules: validate_pb2.FieldRules | None) -> Schema:
    if field.type in _INT32:
        return {"type": "integer", "format": "int32"} | _range(rules.int32 if rules else None)
    if field.type in _INT64:
        if rules is not None and rules.HasField("int64"):
            return {"type": "integer", "format": "int64"} | _range(rules.int64)
        return {"type": "string", "pattern": "^-?[0-9]+$", "format": "int64"}
    if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return {"type": "number"} | _range(rules.double if rules else None)
    return {"type": "boolean"} if field.type == _F.TYPE_BOOL else _string(rules)


def _enum(enum: EnumDescriptor, rules: validate_pb2.FieldRules | None) -> Schema:
    allowed = set(getattr(rules.enum, "in")) if rules else set()
    refused = set(rules.enum.not_in) if rules else set()
    names = [v.name for v in enum.values if v.number not in refused and (not allowed or v.number in allowed)]
    return {"type": "string", "enum": names}


def _string(rules: validate_pb2.FieldRules | None) -> Schema:
    schema: Schema = {"type": "string"}
    if rules is None or not rules.HasField("string"):
        return schema
    if rules.string.uuid:
        optional = rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE
        return schema | {"pattern": f"^$|{_UUID}"} if optional else schema | {"format": "uuid", "pattern": _UUID}
    return schema | _present(rules.string, min_len="minLength", max_len="maxLength", pattern="pattern")


def _range(rules: Any) -> Schema:
    return {} if rules is None else _present(rules, gte="minimum", lte="maximum")


def _present(rules: Any, **names: str) -> Schema:
    return {name: getattr(rules, rule) for rule, name in names.items() if rules.HasField(rule)}

"""Routes from the protos: every `google.api.http` annotation, as a method, a path and where its fields go."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)\}")
_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to call an RPC over REST. `body` is "*", the name of a field, or empty."""

    verb: str
    template: str
    path_fields: tuple[str, ...]
    body: str
    method: MethodDescriptor
    pattern: re.Pattern[str]

    @property
    def rpc(self) -> str:
        """The RPC's full name on the wire."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def routes_of(services: Iterable[ServiceDescriptor]) -> list[Route]:
    """Return the routes of every annotated RPC; ValueError for an annotation that names no field."""
    return [route for service in services for method in service.methods for route in _routes_of_method(method)]


def find_field(method: MethodDescriptor, path: str) -> FieldDescriptor:
    """Return the request's field at a dotted path; ValueError when there is none."""
    message: Descriptor | None = method.input_type
    field: FieldDescriptor | None = None
    for name in path.split("."):
        field = message.fields_by_name.get(name) if message is not None else None
        if field is None:
            raise ValueError(f"{method.full_name}: its annotation names {path}, which its request does not have")
        message = field.message_type
    if field is None:
        raise ValueError(f"{method.full_name}: its annotation names an empty path")
    return field


def _routes_of_method(method: MethodDescriptor) -> Iterator[Route]:
    if not method.GetOptions().HasExtension(annotations_pb2.http):
        return
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        yield _route(method, binding)


def _route(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Route:
    verb = next(name for name in _VERBS if rule.WhichOneof("pattern") == name)
    template = str(getattr(rule, verb))
    path_fields = tuple(_VARIABLE.findall(template))
    for path in (*path_fields, *([rule.body] if rule.body not in ("", "*") else [])):
        find_field(method, path)
    # A variable is one segment, and never holds the colon that starts a verb.
    parts = _VARIABLE.split(template)
    literal_or_variable = (re.escape(part) if place % 2 == 0 else "([^/:]+)" for place, part in enumerate(parts))
    return Route(verb.upper(), template, path_fields, rule.body, method, re.compile("".join(literal_or_variable)))

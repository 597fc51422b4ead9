"""A REST request as the protobuf message of its RPC."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from starlette.requests import Request

from services.gateway.rest.codec import JsonCodec, JsonRefusedError, decode
from services.gateway.rest.forms import clip, field_named, wrong_fields
from services.gateway.rest.problems import ProblemError, detail_of, refuse
from services.gateway.rest.routes import Route

JSON_TYPES = ("application/json",)


# What a connection holds of a body anyway, and what most bodies have.
SMALL_BODY_BYTES = 64 * 1024


class BodyMemory:
    """Bounds what the large bodies being worked on take of memory together; small ones always fit."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_left = bytes_max

    @contextmanager
    def reserved(self) -> Iterator[Callable[[int], None]]:
        """Give a function that reserves what a body is by now, until the end of the block; it may refuse."""
        taken = 0

        def grow(size: int) -> None:
            nonlocal taken
            more = size - taken if size > SMALL_BODY_BYTES else 0
            if more > self._bytes_left:
                said = "too many large bodies are being worked on; try again"
                raise refuse(503, "BODIES_TOO_MANY", said, Connection="close")
            self._bytes_left -= more
            taken += more

        try:
            yield grow
        finally:
            self._bytes_left += taken


async def read_body(request: Request, bytes_max: int, grow: Callable[[int], None]) -> bytes:
    """Return the body; refuse one that is too large before it is all here, declared or not."""

    def too_large() -> ProblemError:
        # Made when it is raised: an error that this frame knows by name would keep the frame, and the body with it.
        return refuse(413, "BODY_TOO_LARGE", f"the body is larger than {bytes_max} bytes", Connection="close")

    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > bytes_max:
        raise too_large()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise too_large()
        grow(size)
        chunks.append(chunk)
    return b"".join(chunks)


def message_of(
    route: Route, path_values: Sequence[str], query: Sequence[tuple[str, str]], content_type: str, body: bytes,
    codec: JsonCodec,
) -> Message:  # fmt: skip
    """Return the RPC's request from the path, the query and the body; raise the ProblemError that refuses it."""
    value: dict[str, Any] = {}
    if route.body:
        value = _body_value(route, content_type, body)
    elif body:
        raise refuse(400, "UNEXPECTED_BODY", f"{route.verb} {route.template} takes no body")
    if route.body != "*":
        _add_query(route.method.input_type, query, value, taken={*route.path_fields, route.body})
    elif query:
        raise _invalid((query[0][0], "is no query parameter of this call", "query.unknown"))
    for path, given in zip(route.path_fields, path_values, strict=True):
        _put(route.method.input_type, value, path, given)
    clip(route.method.input_type, value)
    message = message_factory.GetMessageClass(route.method.input_type)()
    try:
        codec.parse(value, message)
    except JsonRefusedError as error:
        wrong = wrong_fields(route.method.input_type, value, codec)
        raise _invalid(*(wrong or [(error.field, str(error), "json.form")])) from None
    return message


def _body_value(route: Route, content_type: str, body: bytes) -> dict[str, Any]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES:
        raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", "send the body as application/json in UTF-8", Accept=JSON_TYPES[0])
    try:
        value = decode(body) if body else {}
    except JsonRefusedError as error:
        raise _invalid((error.field, str(error), "json.text")) from None
    if not isinstance(value, dict):
        raise _invalid(("", "the body must be a JSON object", "json.object"))
    if route.body == "*":
        return value
    field = route.method.input_type.fields_by_name[route.body]
    return {field.json_name: value}


def _add_query(message: Descriptor, query: Sequence[tuple[str, str]], value: dict[str, Any], taken: set[str]) -> None:
    wrong = []
    for name, given in query:
        field = field_named(message, name)
        if field is None or name in taken or field.name in taken or _is_map(field) or _is_object(field):
            wrong.append((name, "is no query parameter of this call", "query.unknown"))
        elif field.is_repeated:
            value.setdefault(field.json_name, []).append(_scalar(field, given))
        elif field.json_name in value:
            wrong.append((name, "is given twice", "query.repeated"))
        else:
            value[field.json_name] = _scalar(field, given)
    if wrong:
        raise _invalid(*wrong)


def _put(message: Descriptor, value: dict[str, Any], path: str, given: str) -> None:
    *parents, last = path.split(".")
    for name in parents:
        field = message.fields_by_name[name]
        value = value.setdefault(field.json_name, {})
        message = field.message_type or message
    field = message.fields_by_name[last]
    for spelling in (field.json_name, field.name):
        if spelling in value and value[spelling] not in ("", given):
            raise _invalid((path, "differs from the path", "path.agrees"))
        value.pop(spelling, None)
    value[field.json_name] = _scalar(field, given)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_object(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf.")


def _scalar(field: FieldDescriptor, given: str) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        words: Mapping[str, bool] = {"true": True, "false": False}
        if given not in words:
            raise _invalid((field.json_name, "must be true or false", "query.bool"))
        return words[given]
    return given


def _invalid(*errors: tuple[str, str, str]) -> ProblemError:
    return refuse(400, "INVALID_ARGUMENT", detail_of(errors), *errors)

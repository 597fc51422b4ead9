"""JSON to protobuf and back, behind a small interface."""

import json
from collections import Counter
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.message import Message

from services.gateway.rest.rendering import value_of

DEPTH_MAX = 32
# A message holds no circle.
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class JsonRefusedError(ValueError):
    """The JSON is not of the message's form; `field` is where, when that is known."""

    def __init__(self, problem: str, field: str = "") -> None:
        super().__init__(problem)
        self.field = field


class JsonCodec(Protocol):
    """Translates between a message and its proto3 JSON."""

    def parse(self, value: dict[str, Any], message: Message) -> None:
        """Fill `message` from decoded JSON; raise JsonRefusedError for an unknown field or a wrong type."""

    def render(self, message: Message) -> bytes:
        """Return the message as JSON, with the fields that have their default value."""


class GoogleJsonCodec:
    """google.protobuf's own codec, with answers written by functions of their types."""

    def parse(self, value: dict[str, Any], message: Message) -> None:
        """See JsonCodec."""
        try:
            json_format.ParseDict(value, message, max_recursion_depth=DEPTH_MAX)
        except json_format.ParseError as error:
            raise JsonRefusedError(*_told(str(error))) from None
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError, SystemError) as error:
            # SystemError is what descriptors make of a name with half a surrogate pair.
            raise JsonRefusedError(str(error)) from None

    def render(self, message: Message) -> bytes:
        """See JsonCodec."""
        return _encoder.encode(value_of(message)).encode()


def decode(body: bytes) -> Any:
    """Decode JSON text; raise JsonRefusedError for what is no JSON: other encodings, NaN, repeated names."""
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except JsonRefusedError:
        raise
    except UnicodeDecodeError as error:
        raise JsonRefusedError(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise JsonRefusedError(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise JsonRefusedError(f"the body is nested more than {DEPTH_MAX} levels deep") from None
    except ValueError:
        # The only one left: Python reads no whole number of thousands of digits.
        raise JsonRefusedError("a number in the body has more digits than any field takes") from None


def _refuse_constant(name: str) -> None:
    raise JsonRefusedError(f"{name} is no JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        repeated = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise JsonRefusedError(f"the name {repeated!r} stands twice in one object", repeated)
    return value


def _told(message: str) -> tuple[str, str]:
    """Split json_format's "Failed to parse a.b field: problem" into the problem and the field."""
    prefix, found, rest = message.partition(" field: ")
    if found and prefix.startswith("Failed to parse "):
        problem, deeper = _told(rest.removesuffix("."))
        field = prefix.removeprefix("Failed to parse ")
        return problem, f"{field}.{deeper}" if deeper and not deeper.startswith(field) else deeper or field
    return message, ""

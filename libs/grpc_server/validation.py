"""Checks requests against the buf.validate rules of their protos, and names every field that breaks one."""

from google.protobuf.message import Message
from protovalidate import Validator
from protovalidate import Violation as RuleViolation

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError

VIOLATIONS_MAX = 100
# Longer lists are looked at item by item first.
LONG_LIST_ITEMS = 1_000
_validator = Validator()


def violations_of(message: Message, prefix: str = "") -> list[FieldViolation]:
    """Return every broken rule of `message`, at most VIOLATIONS_MAX; `prefix` starts the field paths."""
    violations = _first_of_long_lists(message, prefix)
    if len(violations) >= VIOLATIONS_MAX:
        return violations
    return [_translate(found, prefix) for found in _validator.collect_violations(message)[:VIOLATIONS_MAX]]


def _first_of_long_lists(message: Message, prefix: str) -> list[FieldViolation]:
    """Return the broken rules in lists of thousands until there are VIOLATIONS_MAX: the whole would cost seconds."""
    found: list[FieldViolation] = []
    for field, value in message.ListFields():
        if field.message_type is None or not field.is_repeated or len(value) <= LONG_LIST_ITEMS:
            continue
        for place, item in enumerate(value):
            path = f"{prefix}.{field.name}[{place}]" if prefix else f"{field.name}[{place}]"
            found += (_translate(violation, path) for violation in _validator.collect_violations(item))
            if len(found) >= VIOLATIONS_MAX:
                return found[:VIOLATIONS_MAX]
    return found


def check(message: Message) -> None:
    """Raise InvalidArgumentError naming every broken rule of `message`."""
    violations = violations_of(message)
    if violations:
        raise InvalidArgumentError.of(*violations)


def _translate(found: RuleViolation, prefix: str) -> FieldViolation:
    proto = found.proto
    path = prefix
    for element in proto.field.elements if proto.field else ():
        path += f".{element.field_name}" if path else (element.field_name or "")
        subscript = element.subscript
        if subscript is not None:
            path += f"[{subscript.value!r}]" if subscript.field != "index" else f"[{subscript.value}]"
    return FieldViolation(path, proto.message or "is not valid", proto.rule_id or "rule")


def warm(message: Message) -> None:
    """Compile the rules of `message` now: the first use costs milliseconds that no call should pay."""
    _validator.collect_violations(message)

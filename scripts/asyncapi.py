"""Write docs/asyncapi.json, the events and who reads them, from the protos and the handlers: `[--check] [--print]`."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from lastmile.events.v1 import event_pb2

from libs.streams.handler import Handler, discovered
from services.assignment.events import SOURCE
from services.assignment.events import TYPES as ASSIGNMENT_TYPES
from services.gateway.rest.comments import load_comments
from services.notification.alerts.codec import SOURCE as NOTIFICATION_SOURCE
from services.notification.alerts.codec import TYPES as NOTIFICATION_TYPES
from services.reconciliation.runs.events import SOURCE as RECONCILIATION_SOURCE
from services.reconciliation.runs.events import TYPES as RECONCILIATION_TYPES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "asyncapi.json"
CHANNEL = "#/channels/events"
TYPES = ASSIGNMENT_TYPES | NOTIFICATION_TYPES | RECONCILIATION_TYPES
SOURCES = f"{SOURCE}, {NOTIFICATION_SOURCE} and {RECONCILIATION_SOURCE}"
REQUIRED = ["specversion", "id", "type", "source", "subject", "time", "sequence", "data_base64"]
DESCRIPTION = (
    "Every committed change is an event. The relay reads it from PostgreSQL's write-ahead log and appends it to its "
    "city's Redis stream, whose entries have one field, `event`. Delivery is at least once: drop an id that was seen. "
    "Events of one subject come in the order of their sequences."
)


def render() -> str:
    """Return the document."""
    fields = {field.name: field for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["data"].fields}
    if fields.keys() != TYPES.keys():
        raise ValueError(f"events without a type, or types without an event: {sorted(fields.keys() ^ TYPES.keys())}")
    types = {TYPES[name]: field for name, field in sorted(fields.items())}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Lastmile events", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/cloudevents+json",
        "channels": {"events": _channel(list(types))},
        "operations": {"relay": _operation("send", f"Publishes what {SOURCES} commit.", list(types))}
        | _consumers(types),
        "components": {
            "messages": {kind: _message(kind, field) for kind, field in types.items()},
            "schemas": {"Envelope": _envelope()},
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _channel(types: list[str]) -> dict[str, Any]:
    return {
        "address": "lastmile:events:{{city}}:{epoch}",
        "description": "A Redis stream for each city and epoch; entry ids are the commit's log position and a number.",
        "parameters": {
            "city": {"description": "The city's code; `-` for what belongs to no city."},
            "epoch": {"description": "Which replication slot filled it; a later epoch is read after an earlier one."},
        },
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in types},
    }


def _operation(action: str, description: str, types: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": CHANNEL},
        "description": description,
        "messages": [{"$ref": f"{CHANNEL}/messages/{kind}"} for kind in types],
    }


def _consumers(types: dict[str, FieldDescriptor]) -> dict[str, Any]:
    found = {}
    for folder in sorted((ROOT / "services").glob("*/handlers")):
        service = folder.parent.name
        for name, kind in discovered(importlib.import_module(f"services.{service}.handlers")).items():
            if unknown := kind.types - types.keys():
                raise ValueError(f"the handler {name} wants types that nobody publishes: {sorted(unknown)}")
            wanted = sorted(kind.types or types)
            found[f"{service}.{name}"] = _operation("receive", _first_line(kind), wanted)
    return found


def _first_line(kind: type[Handler]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _message(kind: str, field: FieldDescriptor) -> dict[str, Any]:
    message: Any = field.message_type
    summary = load_comments().get(message.full_name, "").replace("\n", " ")
    return {
        "name": kind,
        "title": message.name,
        "contentType": "application/cloudevents+json",
        **({"summary": summary} if summary else {}),
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/Envelope"},
                {"properties": {"type": {"const": kind}}},
            ]
        },
        "x-protobuf": {"message": event_pb2.Event.DESCRIPTOR.full_name, "field": field.name, "of": message.full_name},
    }


def _envelope() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in JSON.",
        "required": REQUIRED,
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text | {"format": "uuid", "description": "UUIDv7; consumers drop an id that they have seen."},
            "type": text,
            "source": text | {"description": "The service that published it."},
            "subject": text | {"description": "The aggregate, such as deliveries/0190..."},
            "time": text | {"format": "date-time"},
            "datacontenttype": {"const": "application/protobuf"},
            "dataschema": {"const": event_pb2.Event.DESCRIPTOR.full_name},
            "merchantid": text | {"description": "The tenant; absent for what belongs to no merchant."},
            "citycode": text | {"description": "The partition key; - for what belongs to no city."},
            "sequence": text | {"description": "The aggregate's version after the change."},
            "traceparent": text | {"description": "W3C trace context; absent when the change was not traced."},
            "data_base64": text | {"contentEncoding": "base64", "description": "lastmile.events.v1.Event."},
        },
    }


def main() -> int:
    """Write the document, print it, or with --check fail when the committed one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when it is out of date")
    parser.add_argument("--print", action="store_true", help="change nothing; print it, with what is installed here")
    arguments = parser.parse_args()
    text = render()
    if arguments.print:
        sys.stdout.write(text)
    elif arguments.check:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            print(f"out of date: {DOCUMENT.relative_to(ROOT)} (run make proto)")
            return 1
    else:
        DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

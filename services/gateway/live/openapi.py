"""The route in the OpenAPI document: it comes from no proto, because an RPC's answer has an end."""

from collections.abc import Mapping
from typing import Any

from services.gateway.live.endpoint import PATH

OPERATION = "LiveService_Follow"
_UUID = {"type": "string", "format": "uuid"}
_POSITION = {"type": "string", "pattern": "^[0-9]{1,19}\\.[0-9]{1,20}-[0-9]{1,20}$"}
_DESCRIPTION = """Follows what happens as server-sent events, until either side ends the stream.

An event's name is its type, its data is the CloudEvents JSON with the payload's public JSON as `data`, its id is where
the client is: whoever comes back with the id that it has last, as `Last-Event-ID` or at first as `lastEventId`, misses
nothing and gets nothing twice. Ids without an event move that on while there is nothing to show; comments are
heartbeats.

`reset` says that events are missing before what comes next, and that the client has to load anew what it shows. `end`
is the last one, with the reason: `LAGGING`, `STOPPING` (come back with the last id) or `CREDENTIAL_ENDED`.

A merchant follows what is its own, without offers; a partner what concerns itself; ops everything. What is another's is
not refused but never comes, as if it did not exist.

For: merchant, ops, partner."""
_QUERY = {
    "merchantId": (_UUID, "Only what is this merchant's. A merchant leaves it empty or names itself."),
    "cityCode": ({"type": "string", "pattern": "^[A-Z][A-Z0-9_-]{1,15}$"}, "Only what is in this city."),
    "deliveryId": (_UUID, "Only what happens to this delivery."),
    "lastEventId": (_POSITION, "The id to go on after, where the header cannot be set."),
}
_PROBLEMS = (400, 401, 404, 405, 429, 503)


def with_live(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the route."""
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": said}
        for name, (schema, said) in _QUERY.items()
    ]
    parameters.append({"name": "Last-Event-ID", "in": "header", "required": False, "schema": _POSITION})
    stream = {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    operation = {
        "operationId": OPERATION,
        "tags": ["LiveService"],
        "summary": "Follows what happens as server-sent events",
        "description": _DESCRIPTION,
        "parameters": parameters,
        "responses": {
            "200": stream,
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _PROBLEMS},
        },
    }
    tag = {"name": "LiveService", "description": "What happens, as it happens."}
    paths = {**document["paths"], PATH: {"get": operation}}
    return {**document, "tags": [*document["tags"], tag], "paths": paths}

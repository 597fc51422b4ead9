"""The route in the OpenAPI document: it comes from no annotation, because its answer is a file and no message."""

from collections.abc import Mapping
from typing import Any

from services.gateway.downloads.client import FORMATS
from services.gateway.downloads.endpoint import PATH

OPERATION = "SettlementService_DownloadPayoutFile"
_DESCRIPTION = """Returns the file of a cycle's payouts for the bank, always the same bytes.

`nach` has lines of 120 characters in the manner of NACH credits. Counts and sums are in the first and in the last line.

For: ops."""
_QUERY = {
    "cycleNo": ({"type": "integer", "minimum": 1, "maximum": 999_999_999}, "The cycle."),
    "format": ({"type": "string", "enum": sorted(FORMATS)}, "What the file looks like."),
}
_FILE = {"schema": {"type": "string"}}
_PROBLEMS = (400, 401, 403, 404, 405, 429, 503)


def with_download(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the route."""
    known = document["components"]["responses"]
    operation = {
        "operationId": OPERATION,
        "tags": ["SettlementService"],
        "summary": "Returns the file of a cycle's payouts",
        "description": _DESCRIPTION,
        "parameters": [
            {"name": name, "in": "query", "required": True, "schema": schema, "description": said}
            for name, (schema, said) in _QUERY.items()
        ],
        "responses": {
            "200": {"description": "The file.", "content": {"text/plain": _FILE, "text/csv": _FILE}},
            **{
                str(status): {"$ref": f"#/components/responses/Problem{status}"}
                for status in _PROBLEMS
                if f"Problem{status}" in known
            },
        },
    }
    return {**document, "paths": {**document["paths"], PATH: {"get": operation}}}

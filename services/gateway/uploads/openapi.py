"""The route in the OpenAPI document: it comes from no annotation, because its body is a file and no message."""

from collections.abc import Mapping
from typing import Any

from services.gateway.uploads.endpoint import PATH

OPERATION = "StatementService_UploadStatement"
_DESCRIPTION = """Takes a statement in: the file is the body, as it is or compressed by gzip.

Rows that cannot be read are kept with a reason, the others are taken; a file is there as a whole or not at all. The
same file again changes nothing and is answered with what is there.

For: ops."""
_QUERY = {
    "sourceCode": ({"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}, "Whose file it is."),
    "fileName": (
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9._-]+$"},
        "What it is called.",
    ),
}
_PROBLEMS = (400, 401, 403, 404, 405, 408, 413, 429, 503)


def with_upload(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the route."""
    known = document["components"]["responses"]
    operation = {
        "operationId": OPERATION,
        "tags": ["StatementService"],
        "summary": "Takes a statement in",
        "description": _DESCRIPTION,
        "parameters": [
            {"name": name, "in": "query", "required": True, "schema": schema, "description": said}
            for name, (schema, said) in _QUERY.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {
            "200": {"description": "What it came to.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **{
                str(status): {"$ref": f"#/components/responses/Problem{status}"}
                for status in _PROBLEMS
                if f"Problem{status}" in known
            },
        },
    }
    return {**document, "paths": {**document["paths"], PATH: {"post": operation}}}

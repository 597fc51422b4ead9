"""The OpenAPI 3.1 document, built from the protos: their routes, schemas, rules, roles and comments."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from libs.grpc_server.access import method_access
from services.gateway.rest.comments import Comments
from services.gateway.rest.problems import MEDIA_TYPE
from services.gateway.rest.routes import Route, find_field, routes_of
from services.gateway.rest.schemas import Schema, Schemas

_PROBLEMS = {
    400: "The request breaks a rule; errors names every field that does.",
    401: "The credential is missing, unknown, expired or revoked.",
    403: "The caller's role may not do this.",
    404: "There is no such thing, or the caller may not see it.",
    405: "The path does not answer this method.",
    408: "The body did not arrive in time.",
    409: "The state of things forbids it, or somebody else was faster; retryable tells which.",
    413: "The body or the problem is too large.",
    414: "The URL is too long.",
    415: "The body is not JSON.",
    422: "The idempotency key came before with another request.",
    429: "Too many requests; Retry-After says when to go on.",
    431: "The request line and its headers are too large.",
    503: "Something that the answer needs is down; Retry-After says when to try again.",
    504: "The deadline passed.",
}
_PROBLEM_SCHEMA: Schema = {
    "type": "object",
    "description": "An RFC 9457 problem.",
    "required": ["type", "title", "status", "detail", "instance", "reason", "requestId", "retryable", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "reason": {"type": "string", "description": "Stable name of what went wrong."},
        "requestId": {"type": "string"},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "description", "rule"],
                "properties": {name: {"type": "string"} for name in ("field", "description", "rule")},
            },
        },
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_HEADERS: dict[str, Schema] = {
    "X-Request-Id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"},
    "X-Request-Timeout-Ms": {"type": "integer", "minimum": 500, "maximum": 60_000},
    "Consistency-Token": {"type": "string", "pattern": "^[0-9A-F]{1,8}/[0-9A-F]{1,8}$"},
    "If-None-Match": {"type": "string"},
    "Idempotency-Key": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}

_ANSWER_HEADERS: dict[str, Schema] = {
    "Lastmile-Source": {
        "description": "Where the answer comes from: a command's, and what is read where it is kept, from the primary.",
        "schema": {"type": "string", "enum": ["primary", "standby", "cache"]},
    },
    "Lastmile-Age-Ms": {
        "description": "The answer lacks nothing that was committed longer ago than this, in milliseconds. Absent "
        "while a service has not yet seen the primary since its start.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Age": {"description": "The same in whole seconds (RFC 9111).", "schema": {"type": "integer", "minimum": 0}},
    "ETag": {
        "description": "Of a query: who sends it as If-None-Match is told 304 without the content, while that is so.",
        "schema": {"type": "string"},
    },
    "Consistency-Token": {
        "description": "Of a command: a query that sends it along sees what the command has done.",
        "schema": {"type": "string"},
    },
}


def build(services: Sequence[ServiceDescriptor], comments: Comments) -> dict[str, Any]:
    """Return the document of every route of the services."""
    schemas = Schemas(comments)
    schemas.components["Problem"] = _PROBLEM_SCHEMA
    paths: dict[str, dict[str, Any]] = {}
    for route in routes_of(services):
        paths.setdefault(_camel_template(route), {})[route.verb.lower()] = _operation(route, schemas, comments)
    tags = [{"name": service.name, "description": comments.get(service.full_name, "")} for service in services]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lastmile",
            "version": "1",
            "description": "The operations backend of a last-mile delivery company, over REST.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {f"Problem{status}": _problem(text) for status, text in _PROBLEMS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or an access token."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
            },
        },
    }


def _operation(route: Route, schemas: Schemas, comments: Comments) -> dict[str, Any]:
    method, access = route.method, method_access(route.method)
    comment = comments.get(method.full_name, "")
    who = "anyone" if access.anonymous else ", ".join(sorted(access.roles))
    answer, is_query = schemas.of_message(method.output_type, request=False), route.verb == "GET"
    operation: dict[str, Any] = {
        "operationId": f"{method.containing_service.name}_{method.name}",
        "tags": [method.containing_service.name],
        "summary": comment.partition(".")[0],
        "description": f"{comment}\n\nFor: {who}.",
        "parameters": [*_path_and_query(route, schemas), *_header_parameters(comment, is_query=is_query)],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": _ANSWER_HEADERS,
                "content": {"application/json": {"schema": answer}},
            },
            **({"304": {"description": "The content is the one that If-None-Match names."}} if is_query else {}),
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _PROBLEMS},
        },
    }
    if access.anonymous:
        operation["security"] = []
    body = _body(route, schemas)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _body(route: Route, schemas: Schemas) -> Schema | None:
    if not route.body:
        return None
    if route.body != "*":
        return schemas.of_field(find_field(route.method, route.body), request=True)
    if not route.path_fields:
        return schemas.of_message(route.method.input_type, request=True)
    # What stands in the path does not stand in the body.
    schemas.of_message(route.method.input_type, request=True)
    whole = schemas.components[route.method.input_type.name]
    in_path = {find_field(route.method, path).json_name for path in route.path_fields}
    body = {**whole, "properties": {k: v for k, v in whole["properties"].items() if k not in in_path}}
    required = [name for name in whole.get("required", []) if name not in in_path]
    body.pop("required", None)
    return body | {"required": required} if required else body


def _path_and_query(route: Route, schemas: Schemas) -> list[Schema]:
    found = []
    for path in route.path_fields:
        field = find_field(route.method, path)
        schema = schemas.of_field(field, request=True)
        found.append({"name": field.json_name, "in": "path", "required": True, "schema": schema})
    if route.body == "*":
        return found
    message: Descriptor = route.method.input_type
    for field in message.fields:
        if field.name not in (*route.path_fields, route.body):
            schema = schemas.of_field(field, request=True)
            found.append(
                {"name": field.json_name, "in": "query", "required": schemas.is_required(field), "schema": schema}
            )
    return found


def _header_parameters(comment: str, *, is_query: bool) -> list[Schema]:
    taken = {"Idempotency-Key": "idempotency" in comment.lower(), "If-None-Match": is_query}
    return [
        {"name": name, "in": "header", "required": False, "schema": schema}
        for name, schema in _HEADERS.items()
        if taken.get(name, True)
    ]


def _camel_template(route: Route) -> str:
    template = route.template
    for path in route.path_fields:
        template = template.replace(f"{{{path}}}", f"{{{find_field(route.method, path).json_name}}}")
    return template


def _problem(description: str) -> Schema:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}

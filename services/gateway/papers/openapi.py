"""The routes in the OpenAPI document: they come from no annotation, because their answers are files and no messages."""

from collections.abc import Mapping
from typing import Any

from services.gateway.papers.client import LABEL_SHEET
from services.gateway.papers.endpoint import INVOICE_PATH, LABELS_PATH, MEDIA_TYPE, STATEMENT_PATH
from services.gateway.rest.comments import Comments
from services.gateway.rest.schemas import Schemas

_LABELS = """Renders shipping labels of 4 by 6 inches, a page each, in the order of the body.

Code 128 is the reference, the QR code the delivery's id. The same labels are the same bytes. Nothing of them is kept.

For: merchants, ops."""
_INVOICE = """Returns an invoice as it was issued: always the same bytes.

For: merchants, ops."""
_STATEMENT = """Returns a party's statement of a closed cycle, with every line up to a limit.

For: ops, and the party."""
_PROBLEMS = (400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 503, 504)


def with_papers(document: Mapping[str, Any], comments: Comments) -> dict[str, Any]:
    """Return the document with the routes, and with what their bodies are."""
    components, schemas = document["components"], Schemas(comments)
    known = components["responses"]
    pdf = {"description": "The paper.", "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
    problems = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        for status in _PROBLEMS
        if f"Problem{status}" in known
    }
    labels = {
        "operationId": "PaperService_RenderLabels",
        "tags": ["PaperService"],
        "summary": "Renders shipping labels",
        "description": _LABELS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas.of_message(LABEL_SHEET, request=True)}},
        },
        "responses": {"200": pdf, **problems},
    }
    got = {"200": pdf, "304": {"description": "The caller has it."}, **problems}
    invoice = _read("PaperService_RenderInvoice", "Returns an invoice as a PDF", _INVOICE, got)
    invoice["parameters"] = [_in_path("invoiceId", format="uuid")]
    statement = _read("PaperService_RenderStatement", "Returns a settlement statement as a PDF", _STATEMENT, got)
    statement["parameters"] = [
        _in_path("cycleNo", pattern="^[1-9][0-9]{0,8}$"),
        _in_path("partyKind", enum=["partner", "network", "merchant"]),
        _in_path("partyOwner", pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"),
    ]
    paths = {LABELS_PATH: {"post": labels}, INVOICE_PATH: {"get": invoice}, STATEMENT_PATH: {"get": statement}}
    made = {**components, "schemas": {**components["schemas"], **schemas.components}}
    return {**document, "paths": {**document["paths"], **paths}, "components": made}


def _read(name: str, summary: str, description: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["PaperService"],
        "summary": summary,
        "description": description,
        "responses": responses,
    }


def _in_path(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}

"""The pages: a landing page, the browsable documentation, and the OpenAPI document. Nothing comes from elsewhere."""

import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_STATIC = Path(__file__).parent / "static"
# Swagger UI draws its icons from data: URLs and styles elements itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(openapi: Mapping[str, Any], assignment_target: str) -> list[BaseRoute]:
    """Return the pages' routes; `assignment_target` is shown to those who would call gRPC."""
    document = json.dumps(openapi).encode()
    tag = f'"{hashlib.sha256(document).hexdigest()[:16]}"'
    landing, docs = (_STATIC / "landing.html").read_text(), (_STATIC / "docs.html").read_text()
    inbox = (_STATIC / "inbox.html").read_text()

    async def openapi_json(request: Request) -> Response:
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(document, headers=headers, media_type="application/json")

    async def landing_page(request: Request) -> Response:
        base = escape(str(request.base_url).rstrip("/"))
        page = landing.replace("__BASE__", base).replace("__ASSIGNMENT__", escape(assignment_target))
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    async def docs_page(_: Request) -> Response:
        return HTMLResponse(docs, headers={"Content-Security-Policy": _POLICY})

    async def inbox_page(_: Request) -> Response:
        return HTMLResponse(inbox, headers={"Content-Security-Policy": _POLICY})

    return [
        Route("/", landing_page),
        Route("/sandbox/inbox", inbox_page),
        Route("/docs", docs_page),
        Route("/openapi.json", openapi_json),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]

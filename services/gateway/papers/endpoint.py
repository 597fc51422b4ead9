"""Papers over REST: POST /v1/labels.pdf with a LabelSheet, and GET of an invoice or a statement by its path and .pdf.

They come from no annotation, because their answer is a file and no message. It is given on as it comes.
"""

import asyncio
import json
import re
from contextlib import AsyncExitStack

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.auth.credentials import Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.papers.client import RPC, Head, Paper, PaperCall, invoice, labels, settlement
from services.gateway.rest import conditional
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.callers import authenticate
from services.gateway.rest.codec import JsonCodec, JsonRefusedError, decode
from services.gateway.rest.metadata import metadata_of
from services.gateway.rest.problems import ProblemError, refuse
from services.gateway.rest.requests import JSON_TYPES, BodyMemory, read_body
from services.gateway.rest.streaming import EndingResponse
from services.gateway.rest.upstream import Upstream

LABELS_PATH = "/v1/labels.pdf"
INVOICE_PATH = "/v1/invoices/{invoiceId}.pdf"
SUFFIX = ".pdf"
MEDIA_TYPE = "application/pdf"
STATEMENT_PATH = "/v1/settlements/{cycleNo}/statements/{partyKind}/{partyOwner}.pdf"
_INVOICE = re.compile(r"/v1/invoices/([^/:]+)\.pdf")
_STATEMENT = re.compile(r"/v1/settlements/([1-9][0-9]{0,8})/statements/([a-z]+)/([^/:]+)\.pdf")


class GatewayPaperLimits(BaseModel):
    """The limits of papers."""

    model_config = ConfigDict(frozen=True)

    body_bytes_max: int = Field(1024 * 1024, gt=0, description="Largest body of labels")
    body_timeout_s: float = Field(20.0, gt=0, description="A body must be here within this")
    timeout_s: float = Field(60.0, gt=0, description="Longest time from the request to the paper's last piece")
    at_once_max: int = Field(32, gt=0, description="Papers that are given on at once; one more is refused")


class PaperEndpoint:
    """Answers the routes."""

    def __init__(
        self,
        reconciliation: Upstream,
        credentials: Credentials,
        rate_limiter: RateLimiter,
        codec: JsonCodec,
        limits: GatewayPaperLimits,
    ) -> None:
        self._reconciliation = reconciliation
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._codec = codec
        self._limits = limits
        self._body_memory = BodyMemory(limits.body_bytes_max * limits.at_once_max)
        self._running = 0

    async def answer(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong before the first byte is a problem, never an exception."""
        name_rpc(request, RPC)
        return await answered(request, lambda request_id: self._answer(request, request_id))

    async def _answer(self, request: Request, request_id: str) -> Response:
        verb, named = _wanted(request)
        if request.method != verb:
            raise refuse(405, "METHOD_NOT_ALLOWED", f"this path answers {verb}", Allow=verb)
        caller = await authenticate(request, False, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        if request.query_params:
            name = next(iter(request.query_params))
            raise _invalid((name, "is no query parameter of this call", "query.unknown"))
        if self._running >= self._limits.at_once_max:
            raise refuse(503, "PAPERS_TOO_MANY", "as many papers are on their way as may be at once; try again")
        async with AsyncExitStack() as stack:
            self._running += 1
            stack.callback(self._has_ended)
            paper = named or await self._labels(request)
            metadata = metadata_of(request, request_id, caller)
            call = await stack.enter_async_context(
                PaperCall(self._reconciliation, paper, metadata, self._limits.timeout_s)
            )
            head = await call.head()
            headers = limit_headers | _headers_of(head)
            known = request.headers.get("if-none-match", "") if verb == "GET" else ""
            if conditional.names(known, headers["ETag"]):
                return Response(status_code=304, headers=headers)
            headers["Content-Length"] = str(head.size_bytes)
            return EndingResponse(call.pieces(), headers, MEDIA_TYPE, stack.pop_all())

    async def _labels(self, request: Request) -> Paper:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in JSON_TYPES:
            raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", "send the body as application/json in UTF-8")
        with self._body_memory.reserved() as grow:
            try:
                async with asyncio.timeout(self._limits.body_timeout_s):
                    body = await read_body(request, self._limits.body_bytes_max, grow)
            except TimeoutError:
                raise refuse(408, "BODY_TIMEOUT", "the body did not arrive in time", Connection="close") from None
            try:
                value = decode(body) if body else {}
                if not isinstance(value, dict):
                    raise _invalid(("", "the body must be a JSON object", "json.object"))
                return labels(value, self._codec)
            except JsonRefusedError as error:
                raise _invalid((error.field, str(error), "json.form")) from None

    def _has_ended(self) -> None:
        self._running -= 1


def _wanted(request: Request) -> tuple[str, Paper | None]:
    """Return the verb of the path, and the paper that it names; None for labels, which the body has."""
    path = request.url.path
    if path == LABELS_PATH:
        return "POST", None
    if found := _INVOICE.fullmatch(path):
        return "GET", invoice(found[1])
    if found := _STATEMENT.fullmatch(path):
        return "GET", settlement(int(found[1]), found[2], found[3])
    raise refuse(404, "ROUTE_NOT_FOUND", "no route has this path; /docs shows those there are")


def _headers_of(head: Head) -> dict[str, str]:
    return {
        "ETag": f'"{head.content_sha256[:24]}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"inline; filename={json.dumps(head.file_name)}",
    }


def _invalid(error: tuple[str, str, str]) -> ProblemError:
    return refuse(400, "INVALID_ARGUMENT", f"{error[0]}: {error[1]}" if error[0] else error[1], error)

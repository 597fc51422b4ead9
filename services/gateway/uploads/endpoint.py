"""POST /v1/statements:upload: a file as the body, given on to the reconciliation api as it comes, in bounded memory.

How large it may be, the limit of all requests says (`request_bytes_max` of the connections); a larger one goes over
gRPC, or into the drop folder.
"""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.auth.credentials import Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.callers import authenticate
from services.gateway.rest.codec import JsonCodec
from services.gateway.rest.metadata import headers_of, metadata_of
from services.gateway.rest.problems import ProblemError, refuse
from services.gateway.rest.upstream import Upstream
from services.gateway.uploads.client import RPC, upload_statement

PATH = "/v1/statements:upload"
_PARAMETERS = ("sourceCode", "fileName")


class UploadLimits(BaseModel):
    """The limits of uploads."""

    model_config = ConfigDict(frozen=True)

    body_timeout_s: float = Field(120.0, gt=0, description="A body must be here within this")
    timeout_s: float = Field(180.0, gt=0, description="Longest time from the first byte to the answer")
    at_once_max: int = Field(4, gt=0, description="Uploads at once; one more is refused")


class UploadEndpoint:
    """Answers the route."""

    def __init__(
        self,
        reconciliation: Upstream,
        credentials: Credentials,
        rate_limiter: RateLimiter,
        codec: JsonCodec,
        limits: UploadLimits,
    ) -> None:
        self._reconciliation = reconciliation
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._codec = codec
        self._limits = limits
        self._running = 0

    async def answer(self, request: Request) -> Response:
        """Answer an upload; whatever goes wrong is a problem, never an exception."""
        name_rpc(request, RPC)
        return await answered(request, lambda request_id: self._answer(request, request_id))

    async def _answer(self, request: Request, request_id: str) -> Response:
        if request.method != "POST":
            raise refuse(405, "METHOD_NOT_ALLOWED", "this path answers POST", Allow="POST")
        caller = await authenticate(request, False, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        source_code, file_name = (_parameter(request, name) for name in _PARAMETERS)
        if unknown := sorted(set(request.query_params) - set(_PARAMETERS)):
            raise _invalid(unknown[0], "is no query parameter of this call")
        if self._running >= self._limits.at_once_max:
            raise refuse(503, "UPLOADS_TOO_MANY", "as many files are uploaded as may be at once; try again")
        self._running += 1
        try:
            answer, trailing = await upload_statement(
                self._reconciliation, source_code, file_name, self._pieces(request),
                metadata_of(request, request_id, caller), self._limits.timeout_s,
            )  # fmt: skip
        finally:
            self._running -= 1
        headers = headers_of(trailing) | limit_headers
        return Response(self._codec.render(answer), 200, headers, "application/json")

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for piece in request.stream():
                    yield piece
        except TimeoutError:
            raise refuse(408, "BODY_TIMEOUT", "the body did not arrive in time", Connection="close") from None


def _parameter(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    if len(values) != 1 or not values[0]:
        raise _invalid(name, "must be told once")
    return values[0]


def _invalid(name: str, said: str) -> ProblemError:
    return refuse(400, "INVALID_ARGUMENT", f"{name}: {said}", (name, said, "query.form"))

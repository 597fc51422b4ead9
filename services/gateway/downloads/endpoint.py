"""GET /v1/settlements:payoutFile: the file of a cycle's payouts, given on as it comes, in bounded memory."""

import re
from contextlib import AsyncExitStack

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.auth.credentials import Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.downloads.client import FORMATS, RPC, download_payouts
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.callers import authenticate
from services.gateway.rest.metadata import metadata_of
from services.gateway.rest.problems import ProblemError, refuse
from services.gateway.rest.streaming import EndingResponse
from services.gateway.rest.upstream import Upstream

PATH = "/v1/settlements:payoutFile"
_PARAMETERS = {"cycleNo": re.compile(r"[1-9][0-9]{0,8}"), "format": re.compile("|".join(FORMATS))}
_TYPES = {"nach": "text/plain; charset=us-ascii", "csv": "text/csv; charset=us-ascii"}


class DownloadLimits(BaseModel):
    """The limits of downloads."""

    model_config = ConfigDict(frozen=True)

    timeout_s: float = Field(180.0, gt=0, description="Longest time from the request to the last byte")
    at_once_max: int = Field(4, gt=0, description="Downloads at once; one more is refused")


class DownloadEndpoint:
    """Answers the route."""

    def __init__(
        self, reconciliation: Upstream, credentials: Credentials, rate_limiter: RateLimiter, limits: DownloadLimits
    ) -> None:
        self._reconciliation = reconciliation
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._limits = limits
        self._running = 0

    async def answer(self, request: Request) -> Response:
        """Answer a download; whatever goes wrong before its first byte is a problem, never an exception."""
        name_rpc(request, RPC)
        return await answered(request, lambda request_id: self._answer(request, request_id))

    async def _answer(self, request: Request, request_id: str) -> Response:
        if request.method != "GET":
            raise refuse(405, "METHOD_NOT_ALLOWED", "this path answers GET", Allow="GET")
        caller = await authenticate(request, False, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        cycle_no, file_format = (_parameter(request, name) for name in _PARAMETERS)
        if unknown := sorted(set(request.query_params) - set(_PARAMETERS)):
            raise _invalid(unknown[0], "is no query parameter of this call")
        if self._running >= self._limits.at_once_max:
            raise refuse(503, "DOWNLOADS_TOO_MANY", "as many files are downloaded as may be at once; try again")
        async with AsyncExitStack() as stack:
            self._running += 1
            stack.callback(self._has_ended)
            metadata = metadata_of(request, request_id, caller)
            download = await stack.enter_async_context(
                download_payouts(self._reconciliation, int(cycle_no), file_format, metadata, self._limits.timeout_s)
            )
            named = {"Content-Disposition": f'attachment; filename="{download.file_name}"'}
            return EndingResponse(download.pieces, limit_headers | named, _TYPES[file_format], stack.pop_all())

    def _has_ended(self) -> None:
        self._running -= 1


def _parameter(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    if len(values) != 1:
        raise _invalid(name, "must be told once")
    if not _PARAMETERS[name].fullmatch(values[0]):
        raise _invalid(name, f"must match {_PARAMETERS[name].pattern}")
    return values[0]


def _invalid(name: str, said: str) -> ProblemError:
    return refuse(400, "INVALID_ARGUMENT", f"{name}: {said}", (name, said, "query.form"))

"""What every endpoint does with a request: whatever goes wrong becomes a problem, and the access log gets a line."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from libs.cache.entries import CACHE
from services.gateway.rest.callers import request_id_of
from services.gateway.rest.metadata import headers_of, text_of
from services.gateway.rest.problems import Problem, ProblemError, problem_of, response_of

log = logging.getLogger("access")

_RPC = "lastmile.rpc"


def name_rpc(request: Request, rpc: str) -> None:
    """Say which RPC a request is for, as soon as that is known."""
    request.scope[_RPC] = rpc


async def answered(request: Request, work: Callable[[str], Awaitable[Response]]) -> Response:
    """Return what `work` makes of a request, whose id it is given; never an exception."""
    started_s = time.perf_counter()
    request_id = request_id_of(request)
    try:
        response = await work(request_id)
    except ProblemError as error:
        response = response_of(error.problem, request_id, request.url.path)
    except grpc.aio.AioRpcError as error:
        response = response_of(_problem_with_age(error), request_id, request.url.path)
    except ClientDisconnect:
        response = Response(status_code=499)
    except Exception:
        log.exception("request failed", extra={"request_id": request_id, "rpc": _rpc_of(request)})
        problem = Problem(500, "INTERNAL", f"internal error; quote request id {request_id}")
        response = response_of(problem, request_id, request.url.path)
    response.headers["X-Request-Id"] = request_id
    elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
    fields = {"request_id": request_id, "rpc": _rpc_of(request), "status": response.status_code}
    log.log(_log_level(response), "request", extra={**fields, "elapsed_ms": elapsed_ms})
    return response


def _rpc_of(request: Request) -> str:
    rpc: str = request.scope.get(_RPC, "none")
    return rpc


def _log_level(response: Response) -> int:
    """Dashboards look hundreds of times a second: that a cache had their answer is no news."""
    is_routine = response.headers.get("lastmile-source") == CACHE and response.status_code < HTTPStatus.BAD_REQUEST
    return logging.DEBUG if is_routine else logging.INFO


def _problem_with_age(error: grpc.aio.AioRpcError) -> Problem:
    """Return a service's error; that there is no such thing is an answer, and has an age as any other."""
    problem = problem_of(error)
    if error.code() is not grpc.StatusCode.NOT_FOUND:
        return problem
    return replace(problem, headers=problem.headers | headers_of(text_of(error.trailing_metadata())))

"""POST /webhooks/partner-networks/{code}: the bytes go on as they are, because they are what is signed.

200 says what the update came to, and that there is nothing to send again; 409 and 5xx ask for it again later.
"""

import asyncio
import json
import logging

import grpc
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest.callers import request_id_of
from services.gateway.rest.problems import Problem, ProblemError, problem_of, refuse, response_of
from services.gateway.rest.requests import read_body
from services.gateway.rest.upstream import Upstream
from services.gateway.webhooks.client import TOO_EARLY, receive_network_webhook

log = logging.getLogger("access")

NETWORK_PATH = "/webhooks/partner-networks/{code}"
_ROUTE = "ReceiveNetworkWebhook"


class WebhookLimits(BaseModel):
    """The limits of webhooks."""

    model_config = ConfigDict(frozen=True)

    body_bytes_max: int = Field(64 * 1024, gt=0, description="Largest body")
    body_timeout_s: float = Field(10.0, gt=0, description="A body must be here within this")
    timeout_s: float = Field(10.0, gt=0, description="Longest wait for the service that a webhook is for")


class WebhookEndpoint:
    """Passes webhooks on. Who may send them, their signatures say: no key is asked for, and each client is limited."""

    def __init__(self, assignment: Upstream, rate_limiter: RateLimiter, limits: WebhookLimits) -> None:
        self._assignment = assignment
        self._rate_limiter = rate_limiter
        self._limits = limits

    async def answer(self, request: Request) -> Response:
        """Answer a webhook of a partner network; whatever goes wrong is a problem, never an exception."""
        request_id = request_id_of(request)
        try:
            response = await self._answer(request, request_id)
        except ProblemError as error:
            response = response_of(error.problem, request_id, request.url.path)
        except grpc.aio.AioRpcError as error:
            response = response_of(problem_of(error), request_id, request.url.path)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception:
            log.exception("webhook failed", extra={"request_id": request_id})
            problem = Problem(500, "INTERNAL", f"internal error; quote request id {request_id}")
            response = response_of(problem, request_id, request.url.path)
        response.headers["X-Request-Id"] = request_id
        log.info("request", extra={"request_id": request_id, "rpc": _ROUTE, "status": response.status_code})
        return response

    async def _answer(self, request: Request, request_id: str) -> Response:
        if request.method != "POST":
            raise refuse(405, "METHOD_NOT_ALLOWED", "this path answers POST", Allow="POST")
        client = request.client.host if request.client else "unknown"
        await self._rate_limiter.admit(f"client:{client}")
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                # Each is small: what all of them take together, the rates of their clients bound.
                body = await read_body(request, self._limits.body_bytes_max, lambda _: None)
        except TimeoutError:
            raise refuse(408, "BODY_TIMEOUT", "the body did not arrive in time", Connection="close") from None
        code = request.path_params["code"]
        said = await receive_network_webhook(
            self._assignment, code, request.headers, body, request_id, self._limits.timeout_s
        )
        status = 409 if said.get("outcome") == TOO_EARLY else 200
        return Response(json.dumps(said), status, media_type="application/json")

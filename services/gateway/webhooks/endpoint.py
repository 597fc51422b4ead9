"""POST /webhooks/partner-networks/{code}: the bytes go on as they are, because they are what is signed.

200 says what the update came to, and that there is nothing to send again; 409 and 5xx ask for it again later.
"""

import asyncio
import json

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.problems import refuse
from services.gateway.rest.requests import read_body
from services.gateway.rest.upstream import Upstream
from services.gateway.webhooks.client import TOO_EARLY, receive_network_webhook

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
        name_rpc(request, _ROUTE)
        return await answered(request, lambda request_id: self._answer(request, request_id))

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

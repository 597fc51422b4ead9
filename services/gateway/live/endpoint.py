"""GET /v1/live: whom it is for, what was asked for, the limits on streams, and the watch over their credentials."""

import asyncio
import logging
import re
import time
from collections import Counter
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from libs.grpc_server.errors import UnauthenticatedError, UnavailableError
from libs.grpc_server.identity import Principal, Role, TokenVerifier
from libs.postgres.errors import UNREACHABLE
from services.gateway.auth.credentials import Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.live.audience import Audience
from services.gateway.live.feed import Feed
from services.gateway.live.follower import End
from services.gateway.live.hub import Hub
from services.gateway.live.limits import LiveLimits
from services.gateway.live.position import Position
from services.gateway.live.response import EventStreamResponse
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.callers import authenticate, secret_of
from services.gateway.rest.problems import Problem, ProblemError, detail_of, refuse

log = logging.getLogger("access")

PATH = "/v1/live"
# As the routes that come from the protos: either name of a field is understood.
PARAMETERS = {
    "merchantId": "merchant_id",
    "cityCode": "city_code",
    "deliveryId": "delivery_id",
    "lastEventId": "last_event_id",
}
_CITY_CODE = re.compile(r"^([A-Z][A-Z0-9_-]{1,15})?$")
Errors = list[tuple[str, str, str]]


class LiveEndpoint:
    """Answers the route, and keeps what it has opened."""

    def __init__(
        self,
        hub: Hub,
        credentials: Credentials,
        verifier: TokenVerifier,
        rate_limiter: RateLimiter,
        limits: LiveLimits,
    ) -> None:
        self._hub = hub
        self._credentials = credentials
        self._verifier = verifier
        self._rate_limiter = rate_limiter
        self._limits = limits
        self._open: dict[Feed, str] = {}
        self._of_caller: Counter[str] = Counter()
        self._stops = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read the streams and watch the credentials until `stop` is set; then end every stream."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch_forever())
            group.create_task(self._hub.run(stop))
            await stop.wait()
            self._stops = True
            watching.cancel()
            for feed in list(self._open):
                feed.close(End.STOPPING)

    async def answer(self, request: Request) -> Response:
        """Open a stream; whatever goes wrong is a problem, never an exception."""
        name_rpc(request, "live")
        return await answered(request, lambda request_id: self._open_stream(request, request_id))

    async def _open_stream(self, request: Request, request_id: str) -> Response:
        if request.method != "GET":
            raise refuse(405, "METHOD_NOT_ALLOWED", "this path answers GET", Allow="GET")
        caller = await authenticate(request, False, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        try:
            principal = self._verifier.verify(caller.token or "")
        except UnauthenticatedError as error:
            # It was good when the caller was identified.
            raise refuse(401, error.reason, error.message, WWW_Authenticate="Bearer") from None
        audience, last = _asked(request, principal)
        # A merchant or partner may have many keys, and is one caller.
        who = caller.rate_key if principal.role is Role.OPS else principal.scope
        self._refuse_too_many(who)
        feed = Feed(self._hub, audience, last, self._limits)
        self._open[feed] = secret_of(request)
        self._of_caller[who] += 1
        opened_s = time.monotonic()

        def done() -> None:
            self._open.pop(feed, None)
            self._of_caller[who] -= 1
            if not self._of_caller[who]:
                del self._of_caller[who]
            open_s = round(time.monotonic() - opened_s, 1)
            log.info("live stream ended", extra={"request_id": request_id, "open_s": open_s, "why": feed.ended_with})

        return EventStreamResponse(feed.frames(), limit_headers, done)

    def _refuse_too_many(self, who: str) -> None:
        limits = self._limits
        if self._stops or not self._hub.has_begun:
            what = "this gateway stops" if self._stops else "the event streams cannot be reached yet"
            raise ProblemError(Problem(503, "STREAMS_UNAVAILABLE", what, retry_after_s=1))
        if self._of_caller[who] >= limits.followers_of_caller_max:
            said = f"there are {limits.followers_of_caller_max} live streams of yours open here: end one"
            raise ProblemError(Problem(429, "LIVE_STREAMS_TOO_MANY", said, retry_after_s=limits.retry_after_s))
        if len(self._open) >= limits.followers_max:
            said = "as many live streams are open here as there may be"
            raise ProblemError(Problem(503, "LIVE_STREAMS_FULL", said, retry_after_s=limits.retry_after_s))

    async def _watch_forever(self) -> None:
        """End the streams whose credential no longer holds, or could not be looked up for too long."""
        unknown_since_s: dict[str, float] = {}
        while True:
            await asyncio.sleep(self._limits.credential_check_s)
            secrets = set(self._open.values())
            unknown_since_s = {secret: since for secret, since in unknown_since_s.items() if secret in secrets}
            for secret in secrets:
                try:
                    holds = await self._credentials.identify(secret) is not None
                    unknown_since_s.pop(secret, None)
                except (UnavailableError, *UNREACHABLE):
                    now_s = time.monotonic()
                    since_s = unknown_since_s.setdefault(secret, now_s)
                    holds = now_s - since_s <= self._limits.credential_unknown_s_max
                if not holds:
                    for feed in [feed for feed, own in self._open.items() if own == secret]:
                        feed.close(End.CREDENTIAL_ENDED)


def _asked(request: Request, principal: Principal) -> tuple[Audience, Position | None]:
    """Return what the request asks for, and the position after which; raise the problem of what it may not ask."""
    errors: Errors = []
    given: dict[str, str] = {}
    for said_name, value in request.query_params.multi_items():
        name = PARAMETERS.get(said_name, said_name)
        if name not in PARAMETERS.values():
            errors.append((name, f"is none of {', '.join(PARAMETERS)}", "field.unknown"))
        elif name in given:
            errors.append((name, "is given twice", "field.repeated"))
        given[name] = value
    merchant_id = _uuid("merchant_id", given, errors)
    delivery_id = _uuid("delivery_id", given, errors)
    city_code = given.get("city_code", "")
    if not _CITY_CODE.fullmatch(city_code):
        errors.append(("city_code", "is no city's code", "string.pattern"))
    if principal.role is not Role.OPS and merchant_id not in ("", (principal.merchant_id or "").lower()):
        errors.append(("merchant_id", "is not you; leave it empty", "merchant_id.own"))
    # The header is what a client says by itself when it comes back: newer than what its URL said at first.
    said = request.headers.get("last-event-id") or given.get("last_event_id", "")
    last = Position.parse(said)
    if said and last is None:
        errors.append(("last_event_id", "is no id that this stream gave", "last_event_id.form"))
    if errors:
        raise refuse(400, "INVALID_ARGUMENT", detail_of(errors), *errors)
    return Audience.of(principal, merchant_id, city_code, delivery_id), last


def _uuid(name: str, given: dict[str, str], errors: Errors) -> str:
    value = given.get(name, "")
    try:
        return str(UUID(value)) if value else ""
    except ValueError:
        errors.append((name, "is no UUID", "string.uuid"))
        return ""

"""REST to gRPC: finds the route, makes the request, calls the service, and renders the answer or the problem."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from google.protobuf import message_factory
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from libs.cache.reuse import Reuse
from libs.grpc_server.access import method_access
from libs.ids import new_id_text
from libs.postgres.log_position import number_of
from services.gateway.auth.credentials import Caller, Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest import conditional
from services.gateway.rest.answering import answered, name_rpc
from services.gateway.rest.callers import authenticate
from services.gateway.rest.codec import JsonCodec
from services.gateway.rest.hot_answers import HotAnswers, Question
from services.gateway.rest.limits import RestLimits
from services.gateway.rest.metadata import (
    CONSISTENCY_TOKEN,
    bad_header,
    headers_of,
    headers_of_origin,
    metadata_of,
    reusable_of,
    text_of,
)
from services.gateway.rest.problems import Problem, refuse, response_of
from services.gateway.rest.requests import BodyMemory, message_of, read_body
from services.gateway.rest.routes import Route
from services.gateway.rest.upstream import Upstream

_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}")


class Transcoder:
    """Answers every route of the services. `upstreams` maps a service's full name to where it is."""

    def __init__(
        self,
        routes: Sequence[Route],
        upstreams: Mapping[str, Upstream],
        credentials: Credentials,
        rate_limiter: RateLimiter,
        codec: JsonCodec,
        reuse: Reuse,
        limits: RestLimits,
    ) -> None:
        # By the noun: most paths then meet a handful of patterns, and not all of them.
        self._routes: dict[str, list[tuple[Route, bool]]] = {}
        for route in routes:
            known = (route, method_access(route.method).anonymous)
            self._routes.setdefault(_noun_of(route.template), []).append(known)
        self._upstreams = upstreams
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._codec = codec
        self._limits = limits
        self._body_memory = BodyMemory(limits.bodies_bytes_max)
        self._hot = HotAnswers(reuse, limits.remembered_bytes_max)

    async def answer(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong is a problem, never an exception."""
        return await answered(request, lambda request_id: self._answer(request, request_id))

    async def _answer(self, request: Request, request_id: str) -> Response:
        route, path_values, anonymous = self._find(request)
        name_rpc(request, route.rpc)
        caller = await authenticate(request, anonymous, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        metadata = metadata_of(request, request_id, caller)
        timeout_s = self._timeout_s(request)
        question = _question_of(request, caller) if route.verb == "GET" else None
        if question is not None and (found := await self._hot.find(question, _wanted(request))):
            answer, origin = found
            headers = headers_of_origin(origin) | limit_headers
            return conditional.answer_of(request, answer.body, answer.content_tag, headers)
        if route.body:
            _refuse_encoded(request)
        bytes_max = self._limits.anonymous_body_bytes_max if anonymous else self._limits.body_bytes_max
        with self._body_memory.reserved() as grow:
            try:
                async with asyncio.timeout(self._limits.body_timeout_s):
                    body = await read_body(request, bytes_max, grow)
            except TimeoutError:
                raise refuse(408, "BODY_TIMEOUT", "the body did not arrive in time", Connection="close") from None
            content_type = request.headers.get("content-type", "")
            query = request.query_params.multi_items()
            message = message_of(route, path_values, query, content_type, body, self._codec)
            rendered, trailing = await self._call(route, message, metadata, timeout_s)
        headers = headers_of(trailing) | limit_headers
        if route.verb != "GET":
            return Response(rendered, HTTPStatus.OK, headers, "application/json")
        reusable, content_tag = reusable_of(trailing), conditional.tag_of(rendered)
        if question is not None and reusable is not None:
            self._hot.keep(question, rendered, content_tag, reusable)
        return conditional.answer_of(request, rendered, content_tag, headers)

    async def _call(
        self, route: Route, message: Message, metadata: list[tuple[str, str]], timeout_s: float
    ) -> tuple[bytes, dict[str, str]]:
        """Return the service's answer as JSON, and its metadata."""
        upstream = self._upstreams[route.method.containing_service.full_name]
        is_read = route.verb == "GET"
        async with upstream.turn(is_read=is_read):
            call = upstream.call(route.rpc, is_read=is_read)(
                message.SerializeToString(), timeout=timeout_s, metadata=metadata
            )
            raw = await call
            trailing = text_of(await call.trailing_metadata())
        answer = message_factory.GetMessageClass(route.method.output_type).FromString(raw)
        return self._codec.render(answer), trailing

    def _find(self, request: Request) -> tuple[Route, Sequence[str], bool]:
        path, verb = request.url.path, request.method
        if len(path) + len(request.url.query) > self._limits.url_chars_max:
            raise refuse(414, "URL_TOO_LONG", f"the URL has more than {self._limits.url_chars_max} characters")
        allowed = []
        for route, anonymous in self._routes.get(_noun_of(path), ()):
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if route.verb == verb:
                return route, match.groups(), anonymous
            allowed.append(route.verb)
        if allowed:
            names = ", ".join(sorted(set(allowed)))
            raise refuse(405, "METHOD_NOT_ALLOWED", f"this path answers {names}", Allow=names)
        raise refuse(404, "ROUTE_NOT_FOUND", "no route has this path; /docs shows those there are")

    def _timeout_s(self, request: Request) -> float:
        given = request.headers.get("x-request-timeout-ms")
        if given is None:
            return self._limits.timeout_ms_default / 1000
        timeout_ms = int(given) if _WHOLE_NUMBER.fullmatch(given) else 0
        if not self._limits.timeout_ms_min <= timeout_ms <= self._limits.timeout_ms_max:
            said = f"must be a whole number from {self._limits.timeout_ms_min} to {self._limits.timeout_ms_max}"
            raise bad_header("X-Request-Timeout-Ms", said)
        return timeout_ms / 1000


async def unrouted(request: Request, error: Exception) -> Response:
    """Answer what even the router did not take: a path that no route can have, a page asked for with a wrong verb."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    reason = "METHOD_NOT_ALLOWED" if status == HTTPStatus.METHOD_NOT_ALLOWED else "ROUTE_NOT_FOUND"
    problem = Problem(status, reason, "no route has this path and verb; /docs shows those there are")
    return response_of(problem, new_id_text(), request.url.path)


def _noun_of(path: str) -> str:
    """Return the second segment of a path, up to its verb: no route has a variable there."""
    return "".join(path.split("/", 3)[2:3]).partition(":")[0]


def _question_of(request: Request, caller: Caller) -> Question | None:
    """Return what a read asks; None for one with a body, which is refused."""
    has_body = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
    if caller.scope is None or has_body:
        return None
    # As they were sent: what is decoded could be two different questions.
    return Question(caller.scope, request.scope["raw_path"], request.scope["query_string"])


def _wanted(request: Request) -> int:
    token = request.headers.get(CONSISTENCY_TOKEN)
    return number_of(token) if token else 0


def _refuse_encoded(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("identity", ""):
        raise refuse(415, "UNSUPPORTED_ENCODING", "send the body as it is: no Content-Encoding is understood")

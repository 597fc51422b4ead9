"""REST to gRPC: finds the route, makes the request, calls the service, and renders the answer or the problem."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from libs.grpc_server.access import method_access
from libs.ids import new_id_text
from services.gateway.auth.credentials import Caller, Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest.callers import authenticate, request_id_of
from services.gateway.rest.codec import JsonCodec
from services.gateway.rest.problems import Problem, ProblemError, problem_of, refuse, response_of
from services.gateway.rest.rendered import RenderedAnswers
from services.gateway.rest.requests import BodyMemory, message_of, read_body
from services.gateway.rest.routes import Route

log = logging.getLogger("access")

_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
_CONSISTENCY_TOKEN = re.compile(r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
# What an answer's metadata is called in HTTP.
_ANSWER_HEADERS = {
    "consistency-token": "Consistency-Token",
    "idempotent-replayed": "Idempotent-Replayed",
    "answer-source": "Lastmile-Source",
    "answer-age-ms": "Lastmile-Age-Ms",
}


class RestLimits(BaseModel):
    """The limits of the REST side."""

    model_config = ConfigDict(frozen=True)

    body_bytes_max: int = Field(4 * 1024 * 1024, gt=0, description="Largest request body")
    anonymous_body_bytes_max: int = Field(16 * 1024, gt=0, description="Largest body of a call without a credential")
    bodies_bytes_max: int = Field(128 * 1024 * 1024, gt=0, description="All large bodies that are being worked on")
    url_chars_max: int = Field(8_192, gt=0, description="Longest path with query")
    body_timeout_s: float = Field(20.0, gt=0, description="A body must be here within this")
    timeout_ms_default: int = Field(10_000, gt=0, description="Deadline of a call whose caller states none")
    timeout_ms_min: int = Field(500, gt=0, description="Nearest deadline a caller may state: a read may wait this long")
    timeout_ms_max: int = Field(60_000, gt=0, description="Latest deadline a caller may state")
    rendered_bytes_max: int = Field(
        32 * 1024 * 1024, gt=0, description="Answers that services give from their caches, remembered with their JSON"
    )
    channels: int = Field(2, gt=0, description="gRPC channels to each service")
    response_bytes_max: int = Field(32 * 1024 * 1024, gt=0, description="Largest answer of a service")


class Upstream:
    """Channels to one service's server, taken in turn."""

    def __init__(self, target: str, limits: RestLimits) -> None:
        options = [
            ("grpc.max_receive_message_length", limits.response_bytes_max),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        self._channels = [grpc.aio.insecure_channel(target, options=options) for _ in range(limits.channels)]
        self._calls: dict[str, list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]]] = {}
        self._turn = 0

    def call(self, rpc: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        """Return the RPC on the next channel; it takes and gives serialized messages."""
        if rpc not in self._calls:
            self._calls[rpc] = [channel.unary_unary(rpc, None, None) for channel in self._channels]
        self._turn = (self._turn + 1) % len(self._channels)
        return self._calls[rpc][self._turn]

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(channel.close(None) for channel in self._channels))


class Transcoder:
    """Answers every route of the services. `upstreams` maps a service's full name to where it is."""

    def __init__(
        self,
        routes: Sequence[Route],
        upstreams: Mapping[str, Upstream],
        credentials: Credentials,
        rate_limiter: RateLimiter,
        codec: JsonCodec,
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
        self._rendered = RenderedAnswers(limits.rendered_bytes_max)

    async def answer(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong is a problem, never an exception."""
        started_s = time.perf_counter()
        request_id = request_id_of(request)
        route_name = "none"
        try:
            route, path_values, anonymous = self._find(request)
            route_name = route.rpc
            response = await self._answer(request, route, path_values, anonymous, request_id)
        except ProblemError as error:
            response = response_of(error.problem, request_id, request.url.path)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception:
            log.exception("request failed", extra={"request_id": request_id, "rpc": route_name})
            problem = Problem(500, "INTERNAL", f"internal error; quote request id {request_id}")
            response = response_of(problem, request_id, request.url.path)
        response.headers["X-Request-Id"] = request_id
        fields = {"request_id": request_id, "rpc": route_name, "status": response.status_code}
        log.info("request", extra={**fields, "elapsed_ms": round((time.perf_counter() - started_s) * 1000, 1)})
        return response

    async def _answer(
        self, request: Request, route: Route, path_values: Sequence[str], anonymous: bool, request_id: str
    ) -> Response:
        caller = await authenticate(request, anonymous, self._credentials, self._rate_limiter)
        limit_headers = await self._rate_limiter.admit(caller.rate_key)
        metadata = _metadata(request, request_id, caller)
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
            rendered, headers = await self._call(route, message, metadata, self._timeout_s(request))
        return Response(rendered, HTTPStatus.OK, {**headers, **limit_headers}, "application/json")

    async def _call(
        self, route: Route, message: Message, metadata: list[tuple[str, str]], timeout_s: float
    ) -> tuple[bytes, dict[str, str]]:
        upstream = self._upstreams[route.method.containing_service.full_name]
        call = upstream.call(route.rpc)(message.SerializeToString(), timeout=timeout_s, metadata=metadata)
        try:
            raw = await call
        except grpc.aio.AioRpcError as error:
            raise ProblemError(_problem_with_age(error)) from None
        trailing = _text_of(await call.trailing_metadata())
        made = route.method.output_type

        def render() -> bytes:
            return self._codec.render(message_factory.GetMessageClass(made).FromString(raw))

        is_hot = trailing.get("answer-source") == "cache"
        rendered = self._rendered.get(made.full_name, raw, render) if is_hot else render()
        return rendered, _headers_of(trailing)

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
            raise _bad_header("X-Request-Timeout-Ms", said)
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


def _metadata(request: Request, request_id: str, caller: Caller) -> list[tuple[str, str]]:
    metadata = [("x-request-id", request_id)]
    if caller.token is not None:
        metadata.append(("authorization", f"Bearer {caller.token}"))
    for name, pattern, said in (
        ("idempotency-key", _IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters"),
        ("consistency-token", _CONSISTENCY_TOKEN, "is not a token that an answer carried"),
        ("traceparent", _TRACEPARENT, ""),
    ):
        value = request.headers.get(name)
        if value is None:
            continue
        if pattern.match(value):
            metadata.append((name, value))
        elif said:
            raise _bad_header(name, said)
    return metadata


def _text_of(metadata: Any) -> dict[str, str]:
    return {str(key): value for key, value in metadata or () if isinstance(value, str)}


def _headers_of(trailing: Mapping[str, str]) -> dict[str, str]:
    headers = {name: trailing[key] for key, name in _ANSWER_HEADERS.items() if key in trailing}
    if "answer-age-ms" in trailing:
        headers["Age"] = str(int(trailing["answer-age-ms"]) // 1000)
    return headers


def _problem_with_age(error: grpc.aio.AioRpcError) -> Problem:
    """Return a service's error; that there is no such thing is an answer, and has an age as any other."""
    problem = problem_of(error)
    if error.code() is not grpc.StatusCode.NOT_FOUND:
        return problem
    return replace(problem, headers=problem.headers | _headers_of(_text_of(error.trailing_metadata())))


def _refuse_encoded(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("identity", ""):
        raise refuse(415, "UNSUPPORTED_ENCODING", "send the body as it is: no Content-Encoding is understood")


def _bad_header(name: str, said: str) -> ProblemError:
    return refuse(400, "INVALID_ARGUMENT", f"{name}: {said}", (name, said, "header.form"))

"""The one interceptor of every server: identity, access, validation, errors and the access log.

Nothing else turns an exception into a status. An error that is not of our tree is INTERNAL, logged with its
traceback, and tells the caller nothing but the request id.
"""

import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

from libs.grpc_server import validation
from libs.grpc_server.access import MethodAccess
from libs.grpc_server.call import Call, answering, current_call
from libs.grpc_server.decoding import decode
from libs.grpc_server.errors import (
    FieldViolation,
    InvalidArgumentError,
    PermissionDeniedError,
    ServiceError,
    UnauthenticatedError,
)
from libs.grpc_server.identity import Principal, TokenVerifier
from libs.ids import new_id_text

log = logging.getLogger("grpc")

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$")
_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
_CONSISTENCY_TOKEN = re.compile(r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]
Streamer = Callable[[Any, Context], AsyncGenerator[Any]]


class Answerer(Protocol):
    """Stands between the checks of a call and its handler."""

    async def answer(self, call: Call, request: Message, produce: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer as a message or serialized; `produce` has the handler make it."""


if TYPE_CHECKING:
    # Generic in its stubs alone: at run time it takes no parameters.
    ServerInterceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    ServerInterceptor = grpc.aio.ServerInterceptor


class CallInterceptor(ServerInterceptor):
    """Answers a call only for a principal who may make it, with a request that keeps its proto's rules."""

    def __init__(
        self,
        access: Mapping[str, MethodAccess],
        verifier: TokenVerifier,
        translate: Callable[[Exception], ServiceError | None],
        answerer: Answerer | None = None,
    ) -> None:
        """`answerer` may answer a unary call in its handler's place, or have the handler do it."""
        self._access = access
        self._answerer = answerer
        self._translate = translate
        self._verifier = verifier
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any] | None] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the method's handler, wrapped once; health and reflection pass as they are."""
        method = str(handler_call_details.method)
        if method not in self._access:
            return await continuation(handler_call_details)
        if method not in self._handlers:
            self._handlers[method] = self._wrap(method, await continuation(handler_call_details))
        return self._handlers[method]

    def _wrap(self, method: str, handler: Any) -> Any:
        if handler is None:
            return None
        access = self._access[method]
        # The bytes pass as they are: nobody's request is parsed before it is known who asks.
        codec = {"request_deserializer": None, "response_serializer": _serialized}
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, access, handler.unary_unary), **codec)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._stream(method, access, handler.stream_unary), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._streaming(method, access, handler.unary_stream), **codec)
        raise TypeError(f"{method}: streams both ways, which is not supported")

    def _unary(self, method: str, access: MethodAccess, handler: Handler) -> Handler:
        made = _request_class(method)

        async def checked(data: bytes, context: Context) -> Any:
            request = decode(data, made)
            validation.check(request)
            if self._answerer is None:
                return await handler(request, context)
            return await self._answerer.answer(current_call(), request, lambda: handler(request, context))

        return self._answer(method, access, checked)

    def _stream(self, method: str, access: MethodAccess, handler: Handler) -> Handler:
        made = _request_class(method)

        async def checked(sent: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for data in sent:
                request = decode(data, made)
                validation.check(request)
                yield request

        async def streamed(sent: AsyncIterator[bytes], context: Context) -> Any:
            return await handler(checked(sent), context)

        return self._answer(method, access, streamed)

    def _streaming(self, method: str, access: MethodAccess, handler: Streamer) -> Handler:
        made = _request_class(method)

        async def written(data: bytes, context: Context) -> None:
            request = decode(data, made)
            validation.check(request)
            # Whoever goes away ends what the handler is at, and what it holds.
            async with aclosing(handler(request, context)) as messages:
                async for message in messages:
                    await context.write(message)

        # One that writes itself, so that what goes wrong on the way is answered as in any other call.
        return self._answer(method, access, written)

    def _answer(self, method: str, access: MethodAccess, handler: Handler) -> Handler:
        async def answer(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            metadata = {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            call = Call(method, _request_id(metadata), None, traceparent=metadata.get("traceparent", ""))
            try:
                call.caller = None if access.anonymous else self._authenticate(metadata, access)
                call.idempotency_key = _checked(metadata, "idempotency-key", _IDEMPOTENCY_KEY)
                call.consistency_token = _checked(metadata, "consistency-token", _CONSISTENCY_TOKEN)
                with answering(call):
                    response = await handler(request, context)
            except ServiceError as error:
                code, status = error.code.name, error.status()
            except Exception as error:  # noqa: BLE001 - logged by _known, and answered
                known = self._known(error, call)
                code, status = known.code.name, known.status()
            else:
                _set_trailing(context, call)
                _log_call(call, "OK", started)
                return response
            _set_trailing(context, call)
            _log_call(call, code, started)
            # What aborts a call and the call's context keep each other until a full collection. They must not keep the
            # request too, by this frame or by those of the error: so both are given up before.
            del request
            return await _abort(context, status)

        return answer

    def _known(self, error: Exception, call: Call) -> ServiceError:
        """Return an error of our tree for any other, which is logged."""
        known = self._translate(error)
        fields = {"method": call.method, "request_id": call.request_id}
        if known:
            said = {**fields, "code": known.code.name, "error": repr(error)}
            log.warning("call could not be answered", extra=said)
            return known
        log.error("call failed", extra=fields, exc_info=error)
        return ServiceError(f"internal error; quote request id {call.request_id}")

    def _authenticate(self, metadata: Mapping[str, str], access: MethodAccess) -> Principal:
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("send metadata 'authorization: Bearer <access token>'")
        principal = self._verifier.verify(token.strip())
        if principal.role not in access.roles:
            allowed = ", ".join(sorted(access.roles))
            raise PermissionDeniedError(
                f"this is for {allowed}; the caller is {principal.role}", reason="ROLE_NOT_ALLOWED"
            )
        return principal


def _request_class(method: str) -> type[Message]:
    service_name, method_name = method.removeprefix("/").split("/")
    service = descriptor_pool.Default().FindServiceByName(service_name)
    return message_factory.GetMessageClass(service.methods_by_name[method_name].input_type)


def _request_id(metadata: Mapping[str, str]) -> str:
    given = metadata.get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else new_id_text()


def _checked(metadata: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not pattern.match(value):
        violation = FieldViolation(name, f"does not match {pattern.pattern}", "metadata.pattern")
        raise InvalidArgumentError.of(violation)
    return value


def _log_call(call: Call, code: str, started_s: float) -> None:
    if log.isEnabledFor(logging.DEBUG):
        elapsed_ms = round((time.perf_counter() - started_s) * 1000, 2)
        said = {"method": call.method, "request_id": call.request_id, "code": code, "elapsed_ms": elapsed_ms}
        log.debug("call", extra=said)


async def _abort(context: Any, status: status_pb2.Status) -> NoReturn:
    # `context: Any`: the published stubs do not know abort_with_status.
    # abort_with_status would drop the trailing metadata that is set.
    said = rpc_status.to_status(status)
    await context.abort(said.code, said.details, (*(context.trailing_metadata() or ()), *said.trailing_metadata))
    raise AssertionError("abort has returned")


def _set_trailing(context: Context, call: Call) -> None:
    origin = call.origin
    age = () if origin.age_ms is None else (("answer-age-ms", str(origin.age_ms)),)
    told = (("x-request-id", call.request_id), ("answer-source", origin.source), *age)
    context.set_trailing_metadata((*told, *call.response_metadata.items()))


def _serialized(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()

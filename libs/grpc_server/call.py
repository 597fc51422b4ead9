"""What a handler may know of the call it answers, without passing it through every function."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from libs.grpc_server.errors import UnauthenticatedError
from libs.grpc_server.identity import Principal


@dataclass(slots=True)
class Call:
    """The call being answered. `response_metadata` is sent back as trailing metadata."""

    method: str
    request_id: str
    caller: Principal | None
    idempotency_key: str | None = None
    consistency_token: str | None = None
    traceparent: str = ""
    response_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def principal(self) -> Principal:
        """Who calls; UnauthenticatedError where an anonymous call is allowed and made."""
        if self.caller is None:
            raise UnauthenticatedError("this needs a credential")
        return self.caller


_CALL: ContextVar[Call] = ContextVar("lastmile_call")


def current_call() -> Call:
    """Return the call being answered; LookupError outside one."""
    return _CALL.get()


@contextmanager
def answering(call: Call) -> Iterator[Call]:
    """Make `call` the current one; tests use it to call a servicer without a server."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)

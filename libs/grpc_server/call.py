"""What a handler may know of the call it answers, without passing it through every function."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from libs.grpc_server.errors import UnauthenticatedError
from libs.grpc_server.identity import Principal

# What a command says, and whatever else is answered where the truth is.
PRIMARY = "primary"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an answer comes from: the log position that it covers, and its age; None where that is unknown."""

    source: str = PRIMARY
    position: int | None = None
    age_ms: int | None = 0


@dataclass(slots=True)
class Call:
    """The call being answered. `response_metadata` is sent back as trailing metadata.

    `hoped_for` is a log position that a query waits for and does without if it takes too long.
    """

    method: str
    request_id: str
    caller: Principal | None
    idempotency_key: str | None = None
    consistency_token: str | None = None
    traceparent: str = ""
    response_metadata: dict[str, str] = field(default_factory=dict)
    hoped_for: int = 0
    origin: Origin = Origin()

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


def call_if_any() -> Call | None:
    """Return the call being answered, or None outside one."""
    return _CALL.get(None)


@contextmanager
def answering(call: Call) -> Iterator[Call]:
    """Make `call` the current one; tests use it to call a servicer without a server."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)

"""What a provider is given, and what it may say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from libs.resilience.errors import Outcome
from libs.resilience.verdict import Verdict
from services.notification.messages.lifecycle import MessageState
from services.notification.templates.rendering import Words


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One attempt: to whom, over what, in which words. A digest is one attempt of several messages."""

    attempt_id: UUID
    # Of several together, the first.
    message_id: UUID
    channel: str
    merchant_id: UUID | None
    address: str = field(repr=False)
    words: Words = field(repr=False)
    # What a webhook is signed with; none for others.
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A provider has taken a message. `provider_message_id` is its own name for it; empty where it has none."""

    provider_message_id: str = ""
    state: MessageState = MessageState.SENT


class RejectedError(Exception):
    """The provider has answered, and will not send this: certainly not sent, and asking again changes nothing.

    `suppress` is why the address takes no more messages, such as "INVALID"; empty where it still does.
    """

    def __init__(self, code: str, said: str, suppress: str = "") -> None:
        super().__init__(f"{code}: {said}")
        self.code = code
        self.suppress = suppress


class NamedError(Exception):
    """Ends an attempt and says by what name: what a merchant or an operator looks for, such as HTTP_503."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


REJECTED = Verdict(counts=False, retryable=False, outcome=Outcome.CERTAINLY_NOT)


@dataclass(frozen=True, slots=True)
class Sought:
    """An attempt whose outcome is unknown, as its provider is asked about it."""

    outgoing: Outgoing
    provider_message_id: str
    started_at_s: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says later, in a callback or when asked. `suppress` as in RejectedError.

    `callback_id` is the same for a callback that comes again in other bytes; empty where its bytes are what is signed.
    """

    state: MessageState
    attempt_id: UUID | None = None
    provider_message_id: str = ""
    reason: str = ""
    suppress: str = ""
    callback_id: str = ""


@dataclass(frozen=True, slots=True)
class AddressNews:
    """What a recipient says to a provider of its own accord: `suppress` as above; empty takes messages again."""

    channel: str
    address: str = field(repr=False)
    suppress: str
    callback_id: str = ""


class ReceiptError(Exception):
    """A callback is refused; `outcome` is what it is counted as: forged, stale, replayed, oversized, unreadable or
    unreachable."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Callback:
    """A request to a provider's callback address: what came. Header names are in small letters."""

    query: str
    headers: Mapping[str, str]
    body: bytes

"""What a provider is: a class in a file of this folder, with a name, its channels, its settings and a function.

Each file's class is found by itself. Which are used, and in which order, LASTMILE_NOTIFICATION_ROUTES says.
"""

from typing import ClassVar, Protocol, runtime_checkable
from uuid import UUID

from pydantic import Field
from pydantic_settings import BaseSettings

from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict
from services.notification.providers.outgoing import Accepted, AddressNews, Callback, Outgoing, Receipt, Sought


class ProviderSettings(BaseSettings):
    """What every provider is told; each adds its own, under its own prefix."""

    limits: DependencyLimits = Field(
        DependencyLimits(deadline_ms=15_000, attempt_ms=10_000, at_once_max=128, waiting_max=256, wait_ms_max=2_000),
        description="What its calls may cost, and when it counts as down",
    )
    rate_per_s_max: float = Field(100, gt=0, description="Messages a second that one sender hands to it")


class Provider(Protocol):
    """Carries messages. Made once for each account and each process that uses it, and closed at its end."""

    name: ClassVar[str]
    channels: ClassVar[frozenset[str]]
    # Whether the receiver drops what it has got before, so that what may have been sent is sent again.
    drops_repeats: ClassVar[bool]
    # Whether it can be asked what became of an attempt.
    can_look_up: ClassVar[bool]
    Settings: ClassVar[type[ProviderSettings]]

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Hand a message over, once. Raises RejectedError, or whatever `classify` knows."""

    def classify(self, error: Exception) -> Verdict | None:
        """Say what an error of `send` means; None for one that is none of the provider's."""

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Say what became of an attempt; None while it cannot tell. Raises as `send` does."""

    async def receipt_of(self, callback: Callback) -> Receipt | AddressNews | None:
        """Return what a callback says, None where it says nothing of interest. Raises ReceiptError."""

    async def close(self) -> None:
        """Give back what it holds."""


@runtime_checkable
class HasReceivers(Protocol):
    """A provider that leads to many, each of whom may be down by itself."""

    def room_for(self, merchant_id: UUID | None) -> int:
        """Return how many messages a merchant's receiver may be given now: one where only a probe is let through."""

    def is_down(self, merchant_id: UUID | None) -> bool:
        """Whether a merchant's receiver is left alone, but for probes."""

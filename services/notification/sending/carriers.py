"""A provider as the sender uses it: behind its dependency, within its rate, in its place on a channel's route."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import aiohttp

from libs.resilience.circuit import CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.errors import AttemptTimeoutError, CallFailedError, DependencyError, RefusedError
from libs.resilience.rate import Rate
from libs.telemetry import error_text
from services.notification.providers.base import HasReceivers, Provider, ProviderSettings
from services.notification.providers.outgoing import Accepted, NamedError, Outgoing, Receipt, RejectedError, Sought
from services.notification.sending.outcomes import AttemptEnd

log = logging.getLogger("notification")

# Why an attempt failed, by what its client raised: the first that it is.
_REASONS = (
    (AttemptTimeoutError, "TIMED_OUT"),
    (aiohttp.ClientConnectorDNSError, "NAME_NOT_FOUND"),
    (aiohttp.ClientSSLError, "TLS_FAILED"),
    (aiohttp.ClientConnectorError, "NOT_CONNECTED"),
    (aiohttp.ConnectionTimeoutError, "NOT_CONNECTED"),
    (aiohttp.ClientConnectionError, "CONNECTION_LOST"),
    (aiohttp.ClientPayloadError, "CONNECTION_LOST"),
    (aiohttp.ClientError, "ANSWER_UNREADABLE"),
)


class Carrier:
    """One account at a provider with its limits, shared by all channels that it carries. `name` is that on routes."""

    def __init__(self, provider: Provider, settings: ProviderSettings, name: str = "") -> None:
        self.name = name or provider.name
        self.provider = provider
        self.dependency = Dependency(f"notification.{self.name}", settings.limits, provider.classify)
        # Questions of their own, for what they tell of sending: a provider that hangs may well list what it has sent.
        self._questions = Dependency(f"notification.{self.name}.look_up", settings.limits, provider.classify)
        self._rate = Rate(settings.rate_per_s_max)
        self._under_way = 0
        self._at_once_max = settings.limits.at_once_max
        self.deadline_s = settings.limits.deadline_ms / 1000

    @property
    def room(self) -> int:
        """How many messages it may be given now, its rate aside: one where only a probe is let through."""
        state = self.dependency.state
        free = self._at_once_max - self._under_way
        if state is CircuitState.CLOSED or state is CircuitState.RETURNING:
            return max(0, free)
        return 1 if self.dependency.is_probe_due and not self._under_way else 0

    @property
    def room_share(self) -> float:
        """Its room as a share of all that it may have at once: while it is down, of the one probe.

        Where some receivers that hang can have most of it, any room is all of it: the others are not to wait for those.
        """
        is_up = self.dependency.state in (CircuitState.CLOSED, CircuitState.RETURNING)
        return self.room / (self._at_once_max if is_up and not isinstance(self.provider, HasReceivers) else 1)

    def room_for(self, merchant_id: UUID | None) -> int:
        """How many messages a merchant's own receiver may be given now, if the provider leads to any."""
        provider = self.provider
        return provider.room_for(merchant_id) if isinstance(provider, HasReceivers) else self._at_once_max

    def is_busy_for(self, merchant_id: UUID | None) -> bool:
        """Whether a merchant's own receiver is well, and has what it may have at once."""
        return isinstance(self.provider, HasReceivers) and not self.provider.is_down(merchant_id)

    def reserve(self) -> bool:
        """Count one more message as under way, if its room and its rate let it."""
        if self.room <= 0 or not self._rate.take():
            return False
        self._under_way += 1
        return True

    def release(self) -> None:
        """Count one message less as under way."""
        self._under_way -= 1

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Hand a message over. Raises what Dependency.call raises, and the provider's own errors."""
        return await self.dependency.call(self.provider.send, outgoing)

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Ask what became of an attempt; None where the provider cannot tell, or does not answer what it should."""
        if not self.provider.can_look_up:
            return None
        try:
            return await self._questions.call(self.provider.look_up, sought)
        except (DependencyError, RejectedError):
            return None
        except Exception as error:  # noqa: BLE001 - nonsense settles nothing, and must not end the sweeper
            log.warning("a provider answers nonsense", extra={"provider": self.name, "error": type(error).__name__})
            return None


Routes = Mapping[str, Sequence[Carrier]]


@dataclass(slots=True)
class Places:
    """Room on a route, reserved before anything is taken up: most of it at the first provider that can be asked.

    What is given back unused has still counted for its rate, which therefore errs to the slow side.
    """

    route: Sequence[Carrier]
    lead: Carrier | None
    left: int

    @classmethod
    def on(cls, route: Sequence[Carrier], places_max: int) -> "Places":
        """Reserve up to so many places."""
        for carrier in route:
            count = 0
            while count < places_max and carrier.reserve():
                count += 1
            if count:
                return cls(route, carrier, count)
        return cls(route, None, 0)

    def take(self, refused_by: frozenset[str]) -> Carrier | None:
        """Give one place at the first provider that has not refused and has room; None where there is none."""
        if self.left and self.lead is not None and self.lead.name not in refused_by:
            self.left -= 1
            return self.lead
        others = (carrier for carrier in self.route if carrier is not self.lead and carrier.name not in refused_by)
        return next((carrier for carrier in others if carrier.reserve()), None)

    def give_back(self) -> None:
        """Release the places that were not taken."""
        while self.left and self.lead is not None:
            self.left -= 1
            self.lead.release()


def end_of(error: Exception) -> tuple[AttemptEnd, str, str]:
    """Return how an attempt ended that raised this, why, and why its address takes no more messages, if it does not.

    What nobody has thought of may have happened after the message went out: it is unknown.
    """
    if isinstance(error, RejectedError):
        return AttemptEnd.REJECTED, error.code, error.suppress
    if isinstance(error, RefusedError):
        return AttemptEnd.NOT_ASKED, "PROVIDER_DOWN", ""
    if isinstance(error, DependencyError) and error.certainly_did_not_happen:
        return AttemptEnd.NOT_SENT, _reason_of(error, "PROVIDER_FAILED"), ""
    if isinstance(error, DependencyError):
        return AttemptEnd.UNKNOWN, _reason_of(error, "TIMED_OUT"), ""
    return AttemptEnd.UNKNOWN, error_text(error)[:200], ""


def _reason_of(error: DependencyError, otherwise: str) -> str:
    """Return why a call failed, as far as the error of its last attempt says it."""
    cause = error.cause if isinstance(error, CallFailedError) else error
    if isinstance(cause, NamedError):
        return cause.reason
    return next((reason for kind, reason in _REASONS if isinstance(cause, kind)), otherwise)

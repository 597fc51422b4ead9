"""A circuit breaker for one event loop: pybreaker counts, and this decides what it is told.

Why pybreaker is not called directly: it counts nothing of an async function, lets everything through in half-open, and
takes cancellation for failure and an excluded error for success. Here:

- an admission knows the era that it is from, and each change of state begins a new one: what a call of an earlier era
  comes to is ignored;
- in half-open one admission is out at a time;
- what is withdrawn (cancelled, or neutral) tells nothing, and gives the probe's place back;
- after closing, a growing share is let through.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import pybreaker

from libs.resilience.errors import CircuitOpenError
from libs.resilience.limits import DependencyLimits
from libs.resilience.ramp import Ramp


class CircuitState(StrEnum):
    """What is let through: all, a growing share, one probe at a time, nothing."""

    CLOSED = "closed"
    RETURNING = "returning"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state. `own` is whether this process found it out, rather than being told."""

    dependency: str
    before: CircuitState
    state: CircuitState
    cause: str
    own: bool = True

    @property
    def spreads(self) -> bool:
        """Whether other processes open their circuits too: this one found out what none has found out before."""
        return self.own and self.state is CircuitState.OPEN and self.before is not CircuitState.HALF_OPEN


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """The right to make one attempt, which must come back by `succeeded`, `failed` or `withdrawn`."""

    era: int
    is_probe: bool


class _CountedError(Exception):
    """What pybreaker is given for a failure, so that the real one is never raised anew."""


class Circuit:
    """The circuit of one dependency in one process."""

    def __init__(
        self, name: str, limits: DependencyLimits, now_s: Callable[[], float], tell: Callable[[Change], None]
    ) -> None:
        self._name = name
        self._limits = limits
        self._now_s = now_s
        self._tell = tell
        self._counter = pybreaker.CircuitBreaker(
            fail_max=limits.failures_max,
            success_threshold=limits.probes_min,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._state = CircuitState.CLOSED
        self._ramp: Ramp | None = None
        self._era = 0
        self._probing = False
        self._opened_at_s = 0.0

    def settle(self) -> CircuitState:
        """Let what only time changes happen, and return the state."""
        if self._ramp is not None and self._ramp.share(self._now_s()) >= 1:
            self._ramp = None
            self._become(CircuitState.CLOSED, "has returned")
        return self._state

    def share(self) -> float:
        """Return the share of calls that is let through, from 0 to 1."""
        state = self.settle()
        if self._ramp is not None:
            return self._ramp.share(self._now_s())
        return 1.0 if state is CircuitState.CLOSED else 0.0

    def is_probe_due(self) -> bool:
        """Whether the next admission would be a probe: somebody has to make it, or the circuit stays open."""
        if self._state is CircuitState.OPEN:
            return self._left_ms() <= 0
        return self._state is CircuitState.HALF_OPEN and not self._probing

    def admit(self) -> Admission:
        """Let one attempt through, or raise CircuitOpenError."""
        state, now_s = self.settle(), self._now_s()
        if state is CircuitState.OPEN and self._left_ms() <= 0:
            self._counter.half_open()
            self._begin(CircuitState.HALF_OPEN, "is probed")
        if self._state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
            if self._state is CircuitState.OPEN or self._probing:
                raise CircuitOpenError(self._name, self._state, max(self._left_ms(), self._limits.backoff_ms))
            self._probing = True
            return Admission(self._era, is_probe=True)
        if self._ramp is not None and not self._ramp.admit(now_s):
            raise CircuitOpenError(self._name, self._state, self._limits.backoff_ms)
        return Admission(self._era, is_probe=False)

    def succeeded(self, admission: Admission) -> None:
        """Count a success."""
        if not self._take_back(admission):
            return
        # pybreaker has nothing to forget after a success that follows another, and its call costs what ten of these do.
        if admission.is_probe or self._counter.fail_counter:
            self._counter.call(lambda: None)
        if admission.is_probe and self._counter.current_state == pybreaker.STATE_CLOSED:
            self._ramp = Ramp(self._limits.return_share_min, self._limits.return_ms, self._now_s())
            self._begin(CircuitState.RETURNING, "a probe succeeded")

    def failed(self, admission: Admission, cause: str) -> None:
        """Count a failure."""
        if not self._take_back(admission):
            return
        with suppress(_CountedError):
            self._counter.call(_fail)
        if self._counter.current_state == pybreaker.STATE_OPEN:
            self._open(cause)

    def withdrawn(self, admission: Admission) -> None:
        """Take an admission back that came to nothing that tells of the dependency."""
        self._take_back(admission)

    def open_as_told(self, cause: str) -> None:
        """Open because another process found the dependency down. One that is not closed goes on by itself."""
        if self._state in (CircuitState.CLOSED, CircuitState.RETURNING):
            self._counter.open()
            self._open(cause, own=False)

    def _take_back(self, admission: Admission) -> bool:
        """Give a probe's place back; return whether the admission is from this era, so that its outcome counts."""
        if admission.era != self._era:
            return False
        self._probing = self._probing and not admission.is_probe
        return True

    def _open(self, cause: str, *, own: bool = True) -> None:
        self._opened_at_s = self._now_s()
        self._ramp = None
        self._begin(CircuitState.OPEN, cause, own=own)

    def _begin(self, state: CircuitState, cause: str, *, own: bool = True) -> None:
        self._era += 1
        self._probing = False
        self._become(state, cause, own=own)

    def _become(self, state: CircuitState, cause: str, *, own: bool = True) -> None:
        before, self._state = self._state, state
        self._tell(Change(self._name, before, state, cause, own))

    def _left_ms(self) -> int:
        return round((self._opened_at_s - self._now_s()) * 1000) + self._limits.open_ms


def _fail() -> None:
    raise _CountedError

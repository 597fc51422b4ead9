"""The lifecycle of an alert: a table of states and transitions, with who makes each.

Invariant: of one kind and subject at most one alert is not over. What comes back before it is over joins it.
"""

from dataclasses import dataclass
from enum import StrEnum


class AlertState(StrEnum):
    """Where an alert is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RECOVERED = "recovered"


class Mover(StrEnum):
    """Who makes a transition."""

    ALERTER = "alerter"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    from_state: AlertState
    to_state: AlertState
    mover: Mover
    why: str


_S, _M = AlertState, Mover
TRANSITIONS: tuple[Transition, ...] = (
    Transition(_S.OPEN, _S.ACKNOWLEDGED, _M.PERSON, "somebody is at it"),
    Transition(_S.OPEN, _S.RECOVERED, _M.ALERTER, "it has been well for a while"),
    Transition(_S.ACKNOWLEDGED, _S.RECOVERED, _M.ALERTER, "it has been well for a while"),
)


def sources_of(to_state: AlertState) -> list[AlertState]:
    """Return the states from which `to_state` is reached, in the table's order."""
    return [t.from_state for t in TRANSITIONS if t.to_state is to_state]

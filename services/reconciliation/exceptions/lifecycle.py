"""The states of a case of the desk, as a table. Pure.

A case is what one discrepancy is to the desk. It is open until somebody is at it or it is resolved; what costs more
than one person may decide is proposed by one and approved or declined by another. A run that finds what was missing
settles a case in whatever state it is.
"""

from dataclasses import dataclass
from enum import StrEnum


class CaseState(StrEnum):
    """Where a case is."""

    OPEN = "open"
    ASSIGNED = "assigned"
    PROPOSED = "proposed"
    RESOLVED = "resolved"


class Command(StrEnum):
    """What is done to a case."""

    ASSIGN = "assign"
    UNASSIGN = "unassign"
    PROPOSE = "propose"
    RESOLVE = "resolve"
    APPROVE = "approve"
    DECLINE = "decline"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Transition:
    """From which state to which, by which command, and who may give it."""

    state: CaseState
    command: Command
    then: CaseState
    who: str


ANYONE, ANOTHER, RUN = "ops", "ops, not who proposed it", "a run"
TRANSITIONS = (
    Transition(CaseState.OPEN, Command.ASSIGN, CaseState.ASSIGNED, ANYONE),
    Transition(CaseState.OPEN, Command.PROPOSE, CaseState.PROPOSED, ANYONE),
    Transition(CaseState.OPEN, Command.RESOLVE, CaseState.RESOLVED, ANYONE),
    Transition(CaseState.OPEN, Command.SETTLE, CaseState.RESOLVED, RUN),
    Transition(CaseState.ASSIGNED, Command.ASSIGN, CaseState.ASSIGNED, ANYONE),
    Transition(CaseState.ASSIGNED, Command.UNASSIGN, CaseState.OPEN, ANYONE),
    Transition(CaseState.ASSIGNED, Command.PROPOSE, CaseState.PROPOSED, ANYONE),
    Transition(CaseState.ASSIGNED, Command.RESOLVE, CaseState.RESOLVED, ANYONE),
    Transition(CaseState.ASSIGNED, Command.SETTLE, CaseState.RESOLVED, RUN),
    Transition(CaseState.PROPOSED, Command.APPROVE, CaseState.RESOLVED, ANOTHER),
    # It is its proposer's again.
    Transition(CaseState.PROPOSED, Command.DECLINE, CaseState.ASSIGNED, ANOTHER),
    Transition(CaseState.PROPOSED, Command.SETTLE, CaseState.RESOLVED, RUN),
)
_THEN = {(row.state, row.command): row.then for row in TRANSITIONS}


def after(state: CaseState, command: Command) -> CaseState | None:
    """Return the state after a command; None where it cannot be given."""
    return _THEN.get((state, command))


def may_decide(proposed_by: str, decided_by: str) -> bool:
    """Whether somebody may approve or decline what another has proposed. Nobody decides on his own."""
    return decided_by != proposed_by

"""The states of a case: nobody decides on his own, and what is resolved stays so."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.reconciliation.exceptions.lifecycle import ANOTHER, TRANSITIONS, CaseState, Command, after, may_decide

OPERATORS = st.sampled_from(["asha", "bilal", "chitra"])


def test_each_command_of_a_state_leads_to_one_state() -> None:
    assert len({(row.state, row.command) for row in TRANSITIONS}) == len(TRANSITIONS)


def test_what_is_resolved_stays_so() -> None:
    assert all(after(CaseState.RESOLVED, command) is None for command in Command)


def test_a_run_settles_a_case_in_whatever_state_it_is() -> None:
    assert {state for state in CaseState if after(state, Command.SETTLE)} == set(CaseState) - {CaseState.RESOLVED}


def test_what_is_proposed_is_decided_by_another_alone() -> None:
    decides = {row.command for row in TRANSITIONS if row.state is CaseState.PROPOSED and row.who == ANOTHER}
    assert decides == {Command.APPROVE, Command.DECLINE}
    assert {row.command for row in TRANSITIONS if row.state is CaseState.PROPOSED} == decides | {Command.SETTLE}


class OneCase(RuleBasedStateMachine):
    """A case in the hands of three operators and of runs."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.assignee = CaseState.OPEN, ""
        self.proposed_by, self.approved_by = "", ""

    def _move(self, command: Command) -> bool:
        then = after(self.state, command)
        if then is not None:
            self.state = then
        return then is not None

    @rule(by=OPERATORS, is_above_limit=st.booleans())
    def resolve(self, by: str, is_above_limit: bool) -> None:
        if is_above_limit and self._move(Command.PROPOSE):
            self.proposed_by = by
        elif not is_above_limit and self._move(Command.RESOLVE):
            self.approved_by = self.proposed_by = ""

    @rule(to=st.one_of(st.just(""), OPERATORS))
    def assign(self, to: str) -> None:
        if to != self.assignee and self._move(Command.ASSIGN if to else Command.UNASSIGN):
            self.assignee = to

    @precondition(lambda self: self.state is CaseState.PROPOSED)
    @rule(by=OPERATORS, command=st.sampled_from([Command.APPROVE, Command.DECLINE]))
    def decide(self, by: str, command: Command) -> None:
        if may_decide(self.proposed_by, by) and self._move(command):
            if command is Command.APPROVE:
                self.approved_by = by
            else:
                self.assignee = self.proposed_by

    @rule()
    def settle(self) -> None:
        if self._move(Command.SETTLE):
            self.approved_by = ""

    @invariant()
    def nobody_approves_his_own(self) -> None:
        assert not self.approved_by or self.approved_by != self.proposed_by

    @invariant()
    def whoever_is_assigned_is_named(self) -> None:
        assert self.state is not CaseState.ASSIGNED or self.assignee
        assert self.state is not CaseState.OPEN or not self.assignee


TestOneCase = OneCase.TestCase

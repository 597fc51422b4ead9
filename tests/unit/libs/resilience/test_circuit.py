import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from libs.resilience.circuit import Admission, Change, Circuit, CircuitState
from libs.resilience.errors import CircuitOpenError
from libs.resilience.limits import DependencyLimits

LIMITS = DependencyLimits(failures_max=3, open_ms=1_000, probes_min=2, return_ms=4_000, return_share_min=0.25)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def made(limits: DependencyLimits = LIMITS) -> tuple[Circuit, Clock, list[Change]]:
    clock, changes = Clock(), list[Change]()
    return Circuit("network:test", limits, clock, changes.append), clock, changes


def refused(circuit: Circuit) -> bool:
    try:
        circuit.withdrawn(circuit.admit())
    except CircuitOpenError:
        return True
    return False


def trip(circuit: Circuit) -> None:
    for _ in range(LIMITS.failures_max):
        circuit.failed(circuit.admit(), "no")


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    circuit, _, changes = made()
    for _ in range(5):
        circuit.failed(circuit.admit(), "no")
        circuit.failed(circuit.admit(), "no")
        circuit.succeeded(circuit.admit())
    assert circuit.settle() is CircuitState.CLOSED
    trip(circuit)
    assert circuit.settle() is CircuitState.OPEN
    assert refused(circuit)
    assert [(c.state, c.cause, c.spreads) for c in changes] == [(CircuitState.OPEN, "no", True)]


def test_what_is_withdrawn_neither_opens_it_nor_forgets_failures() -> None:
    circuit, _, _ = made()
    for _ in range(2):
        circuit.failed(circuit.admit(), "no")
    for _ in range(10):
        circuit.withdrawn(circuit.admit())
    assert circuit.settle() is CircuitState.CLOSED
    circuit.failed(circuit.admit(), "no")
    assert circuit.settle() is CircuitState.OPEN


def test_one_probe_at_a_time_and_a_cancelled_one_gives_its_place_back() -> None:
    circuit, clock, _ = made()
    trip(circuit)
    clock.now_s += 1.0
    assert circuit.is_probe_due()
    probe = circuit.admit()
    assert not circuit.is_probe_due()
    assert refused(circuit)
    circuit.withdrawn(probe)
    assert circuit.settle() is CircuitState.HALF_OPEN
    probe = circuit.admit()
    assert refused(circuit)
    circuit.failed(probe, "still no")
    assert circuit.settle() is CircuitState.OPEN
    assert refused(circuit)


def test_failures_from_before_it_opened_do_not_prolong_it_and_late_successes_do_not_close_it() -> None:
    circuit, clock, changes = made()
    late = [circuit.admit() for _ in range(10)]
    trip(circuit)
    clock.now_s += 0.9
    for admission in late[:5]:
        circuit.failed(admission, "late")
    clock.now_s += 0.1
    probe = circuit.admit()
    for admission in late[5:]:
        circuit.succeeded(admission)
    assert circuit.settle() is CircuitState.HALF_OPEN
    assert refused(circuit)
    circuit.succeeded(probe)
    assert [c.state for c in changes] == [CircuitState.OPEN, CircuitState.HALF_OPEN]


def test_after_closing_a_growing_share_is_let_through() -> None:
    circuit, clock, changes = made()
    trip(circuit)
    clock.now_s += 1.0
    for _ in range(LIMITS.probes_min):
        circuit.succeeded(circuit.admit())
    shares = []
    for _ in range(5):
        shares.append(sum(not refused(circuit) for _ in range(100)) / 100)
        clock.now_s += 1.0
    assert shares[0] <= 0.27
    assert all(earlier < later for earlier, later in itertools.pairwise(shares))
    assert (shares[-1], circuit.share()) == (1.0, 1.0)
    assert [c.state for c in changes][-2:] == [CircuitState.RETURNING, CircuitState.CLOSED]


def test_who_is_told_opens_and_does_not_spread_it_further() -> None:
    circuit, clock, changes = made()
    circuit.open_as_told("another found it down")
    assert refused(circuit)
    clock.now_s += 1.0
    circuit.failed(circuit.admit(), "indeed")
    circuit.open_as_told("again")
    assert [c.spreads for c in changes] == [False, False, False]
    assert len(changes) == 3


class CircuitMachine(RuleBasedStateMachine):
    """Any interleaving of calls, cancellations, tellings and time, against what may be true at all."""

    held = Bundle("held")

    @initialize(failures_max=st.integers(1, 4), probes_min=st.integers(1, 3), return_ms=st.sampled_from([0, 2_000]))
    def make(self, failures_max: int, probes_min: int, return_ms: int) -> None:
        self.limits = LIMITS.model_copy(
            update={"failures_max": failures_max, "probes_min": probes_min, "return_ms": return_ms}
        )
        self.circuit, self.clock, self.changes = made(self.limits)
        self.outstanding: set[Admission] = set()
        self.failures = self.probes_passed = 0
        self.opened_at_s = 0.0

    @rule(target=held)
    def admit(self) -> Admission | None:
        before = self.circuit.settle()
        left_ms = round((self.opened_at_s - self.clock.now_s) * 1000) + self.limits.open_ms
        probing = any(a.is_probe and a.era == self.era() for a in self.outstanding)
        try:
            admission = self.circuit.admit()
        except CircuitOpenError:
            assert before is not CircuitState.CLOSED
            assert before is not CircuitState.OPEN or left_ms > 0
            assert before is not CircuitState.HALF_OPEN or probing
            return None
        if before is CircuitState.OPEN:
            assert left_ms <= 0
            self.probes_passed = 0
        assert admission.is_probe == (before in (CircuitState.OPEN, CircuitState.HALF_OPEN))
        assert not (admission.is_probe and probing)
        self.outstanding.add(admission)
        return admission

    @rule(admission=consumes(held), how=st.sampled_from(["succeeded", "failed", "withdrawn"]))
    def end(self, admission: Admission | None, how: str) -> None:
        if admission is None:
            return
        self.outstanding.remove(admission)
        before, counts = self.circuit.settle(), admission.era == self.era() and how != "withdrawn"
        if how == "succeeded":
            self.circuit.succeeded(admission)
        elif how == "failed":
            self.circuit.failed(admission, "no")
        else:
            self.circuit.withdrawn(admission)
        after = self.circuit.settle()
        if counts:
            self.expect(before, after, how)
        else:
            assert after is before

    def expect(self, before: CircuitState, after: CircuitState, how: str) -> None:
        if before is CircuitState.HALF_OPEN:
            self.probes_passed += how == "succeeded"
            if how == "failed":
                assert after is CircuitState.OPEN
                self.opened_at_s = self.clock.now_s
            elif self.probes_passed < self.limits.probes_min:
                assert after is CircuitState.HALF_OPEN
            else:
                assert after in (CircuitState.RETURNING, CircuitState.CLOSED)
            self.failures = 0
            return
        self.failures = 0 if how == "succeeded" else self.failures + 1
        if self.failures >= self.limits.failures_max:
            assert after is CircuitState.OPEN
            self.opened_at_s, self.failures = self.clock.now_s, 0
        else:
            assert after is before

    @rule(elapsed_ms=st.sampled_from([1, 250, 999, 1_000, 2_500]))
    def wait(self, elapsed_ms: int) -> None:
        self.clock.now_s += elapsed_ms / 1000

    @rule()
    def be_told(self) -> None:
        before = self.circuit.settle()
        self.circuit.open_as_told("told")
        if before in (CircuitState.CLOSED, CircuitState.RETURNING):
            self.opened_at_s, self.failures = self.clock.now_s, 0
            assert self.circuit.settle() is CircuitState.OPEN
        else:
            assert self.circuit.settle() is before

    @invariant()
    def every_change_follows_the_one_before(self) -> None:
        changes = getattr(self, "changes", [])
        for earlier, later in itertools.pairwise(changes):
            assert earlier.state is later.before
        assert all(change.before is not change.state for change in changes)

    @invariant()
    def share_and_state_agree(self) -> None:
        if not hasattr(self, "circuit"):
            return
        share, state = self.circuit.share(), self.circuit.settle()
        assert (share == 0) == (state in (CircuitState.OPEN, CircuitState.HALF_OPEN))
        assert (share == 1) == (state is CircuitState.CLOSED)

    def era(self) -> int:
        # Every change but the end of the return begins an era.
        return sum(c.state is not CircuitState.CLOSED for c in self.changes)


CircuitMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCircuitMachine = CircuitMachine.TestCase

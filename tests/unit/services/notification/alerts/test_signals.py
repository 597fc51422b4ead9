from libs.resilience.board import Report
from libs.resilience.circuit import CircuitState
from libs.resilience.recent import RecentCalls
from services.notification.alerts.alert import Key, Kind, Symptom
from services.notification.alerts.signals import (
    Level,
    Queue,
    Receipts,
    Signal,
    SignalLimits,
    of_circuits,
    of_queues,
    of_receipts,
    of_streams,
)

LIMITS = SignalLimits()
PROVIDER = Key(Kind.PROVIDER, "notification.twilio")


def report(state: CircuitState = CircuitState.CLOSED, recent: RecentCalls | None = None, process: str = "a") -> Report:
    share = 1.0 if state is CircuitState.CLOSED else 0.0
    return Report(process, PROVIDER.subject, state, share, "no answer", True, recent or RecentCalls(), 5_000)


def ill(signals: list[Signal]) -> dict[Symptom | None, Signal]:
    return {signal.symptom: signal for signal in signals if signal.level is Level.ILL}


def circuits(*reports: Report) -> list[Signal]:
    return list(of_circuits(reports, LIMITS))


def test_one_open_circuit_among_many_is_certain_at_once() -> None:
    told = ill(circuits(report(), report(CircuitState.OPEN, process="b")))[Symptom.CIRCUIT_OPEN]
    assert (told.key, told.at_once, told.probe_every_ms) == (PROVIDER, True, 5_000)
    assert told.said == "1 of 2 processes have stopped calling it: no answer"


def test_a_circuit_that_is_probed_is_still_down_and_one_that_returns_is_neither() -> None:
    assert Symptom.CIRCUIT_OPEN in ill(circuits(report(CircuitState.HALF_OPEN)))
    assert [signal.level for signal in circuits(report(CircuitState.RETURNING))] == [Level.UNSURE]
    assert [signal.level for signal in circuits(report())] == [Level.WELL]


def test_what_belongs_to_merchants_is_no_outage_of_ours() -> None:
    down = Report("a", "notification.webhook", CircuitState.OPEN, 0.0, "no answer", True)
    assert circuits(down) == []


def test_a_network_that_cannot_be_polled_fails_and_keeps_its_partners() -> None:
    offers = Report("a", "network:lent", CircuitState.CLOSED, 1.0, "", False)
    polled = Report("a", "network:lent/updates", CircuitState.OPEN, 0.0, "no answer", True, probe_every_ms=5_000)
    told = circuits(offers, polled)
    assert {signal.key for signal in told} == {Key(Kind.NETWORK, "network:lent")}
    failing = ill(told)
    assert failing.keys() == {Symptom.FAILING}
    assert failing[Symptom.FAILING].at_once
    assert failing[Symptom.FAILING].said == "1 of 1 processes have stopped asking it for updates: no answer"


def test_silence_needs_calls_under_way() -> None:
    silent = ill(circuits(report(recent=RecentCalls(under_way=3, silent_ms=2_100))))[Symptom.SILENT]
    assert (silent.at_once, silent.ms_ago) == (True, 2_100)
    assert not ill(circuits(report(recent=RecentCalls(under_way=2, silent_ms=9_000))))
    assert not ill(circuits(report(recent=RecentCalls(under_way=9, silent_ms=1_400))))


def test_failures_count_over_all_processes_and_only_when_there_are_calls() -> None:
    busy = report(recent=RecentCalls(calls=100, failures=10, p99_ms=80))
    failing = report(recent=RecentCalls(calls=100, failures=60, p99_ms=80), process="b")
    assert ill(circuits(busy, failing))[Symptom.FAILING].said == "35% of the last 200 calls failed"
    assert not ill(circuits(busy))
    assert not ill(circuits(report(recent=RecentCalls(calls=19, failures=19))))


def test_between_half_of_a_limit_and_the_limit_it_is_neither_ill_nor_well() -> None:
    levels = [
        circuits(report(recent=RecentCalls(calls=50, p99_ms=ms)))[-1].level for ms in (2_500, 2_501, 5_000, 5_001)
    ]
    assert levels == [Level.WELL, Level.UNSURE, Level.UNSURE, Level.ILL]


def test_what_waits_is_told_of_by_its_age_and_by_its_number() -> None:
    queues = [Queue("sms", 40, 121.0), Queue("email", 0, 0.0)]
    assert [(signal.key.subject, signal.level) for signal in of_queues(queues, LIMITS)] == [
        ("sms", Level.ILL),
        ("email", Level.WELL),
    ]
    assert ill(list(of_streams([("planner", 20_001)], LIMITS))).keys() == {Symptom.BACKLOG}


def test_receipts_dry_up_only_for_a_provider_that_used_to_give_them() -> None:
    said = list(of_receipts([Receipts("twilio", 200, 4, 300, 290)], LIMITS))
    assert ill(said)[Symptom.RECEIPTS_MISSING].key == PROVIDER
    never, few, fewer = (
        Receipts("smtp", 200, 0, 300, 0),
        Receipts("a", 10, 0, 300, 300),
        Receipts("b", 200, 150, 300, 290),
    )
    assert list(of_receipts([never, few, fewer], LIMITS)) == []

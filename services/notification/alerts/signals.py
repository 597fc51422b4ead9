"""What is observed, as signals of how something fares: pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

from pydantic import BaseModel, ConfigDict, Field

from libs.resilience.board import Report
from libs.resilience.circuit import CircuitState
from services.notification.alerts.alert import Key, Kind, Symptom

# What dependencies are called by the services that call them.
NETWORK_PREFIX, PROVIDER_PREFIX = "network:", "notification."
# What a network that is polled is called besides: it takes offers all the same.
UPDATES_SUFFIX = "/updates"
_DOWN = (CircuitState.OPEN, CircuitState.HALF_OPEN)


class SignalLimits(BaseModel):
    """When something counts as ill. Between half of a limit and the limit it is neither ill nor well."""

    model_config = ConfigDict(frozen=True)

    not_watched: frozenset[str] = Field(
        frozenset({"notification.webhook"}),
        description="Dependencies whose troubles are no outage: behind webhooks, each receiver is its merchant's own",
    )
    silent_ms_max: int = Field(1_500, gt=0, description="Calls under way with no answer for this long: silent")
    silent_calls_min: int = Field(3, gt=0, description="With fewer calls under way nothing counts as silent")
    calls_min: int = Field(20, gt=0, description="With fewer recent calls their failures and times say nothing")
    failing_share_max: float = Field(0.25, gt=0, le=1, description="A larger share of recent calls that fail: failing")
    slow_ms_max: int = Field(5_000, gt=0, description="A longer 99th percentile of recent calls: slow")
    queue_age_s_max: float = Field(120, gt=0, description="A message that is due waits for longer: backlog")
    stream_unread_max: int = Field(20_000, gt=0, description="More events wait for one group: backlog")
    receipts_min: int = Field(50, gt=0, description="Of fewer messages, missing receipts say nothing")
    receipts_fall_max: float = Field(
        0.5, gt=0, le=1, description="Receipts for a smaller part of the share that used to get one: missing"
    )


class Level(IntEnum):
    """How something fares, the worst last."""

    WELL = 0
    # Neither: it ends no alert and begins none.
    UNSURE = 1
    ILL = 2


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that is known of something. `symptom` is None for one that is well.

    `at_once` is whether it is certain without a second look. `ms_ago` is when it began.
    """

    key: Key
    level: Level
    symptom: Symptom | None = None
    said: str = ""
    at_once: bool = False
    ms_ago: int = 0
    probe_every_ms: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages of one channel that are due; `oldest_s` is how long the one waits that waits longest."""

    channel: str
    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Receipts:
    """Messages that a provider took, and those of them that it said something of: lately, and some time before."""

    provider: str
    taken: int
    told: int
    taken_before: int
    told_before: int


def of_circuits(reports: Iterable[Report], limits: SignalLimits) -> Iterator[Signal]:
    """Yield what processes say of what they call."""
    watched = (report for report in reports if report.dependency not in limits.not_watched)
    ordered = sorted(watched, key=lambda report: report.dependency)
    for name, same in groupby(ordered, key=lambda report: report.dependency):
        kind = Kind.NETWORK if name.startswith(NETWORK_PREFIX) else Kind.PROVIDER
        yield from _of_dependency(Key(kind, name.removesuffix(UPDATES_SUFFIX)), list(same), limits)


def _of_dependency(key: Key, reports: Sequence[Report], limits: SignalLimits) -> Iterator[Signal]:
    is_polling = reports[0].dependency != key.subject
    down = [report for report in reports if report.state in _DOWN]
    probe_ms = max(report.probe_every_ms for report in reports)
    if down:
        # The cause of one that is being probed is the probe.
        cause = next((r.cause for r in down if r.cause and r.state is CircuitState.OPEN), "it is being probed")[:200]
        stopped = "asking it for updates" if is_polling else "calling it"
        said = f"{len(down)} of {len(reports)} processes have stopped {stopped}: {cause}"
        symptom = Symptom.FAILING if is_polling else Symptom.CIRCUIT_OPEN
        yield Signal(key, Level.ILL, symptom, said, at_once=True, probe_every_ms=probe_ms)
    elif any(report.state is CircuitState.RETURNING for report in reports):
        yield Signal(key, Level.UNSURE, probe_every_ms=probe_ms)
    else:
        yield Signal(key, Level.WELL)
    silent = [report.recent for report in reports if report.recent.silent_ms >= limits.silent_ms_max]
    waiting = sum(recent.under_way for recent in silent)
    if waiting >= limits.silent_calls_min:
        ms = max(recent.silent_ms for recent in silent)
        said = f"{waiting} calls are under way, and none was answered for {ms / 1000:.1f} s"
        yield Signal(key, Level.ILL, Symptom.SILENT, said, at_once=True, ms_ago=ms, probe_every_ms=probe_ms)
    yield from _of_calls(key, reports, limits)


def _of_calls(key: Key, reports: Sequence[Report], limits: SignalLimits) -> Iterator[Signal]:
    calls = sum(report.recent.calls for report in reports)
    if calls < limits.calls_min:
        return
    share = sum(report.recent.failures for report in reports) / calls
    said = f"{share:.0%} of the last {calls} calls failed"
    yield _graded(key, share, limits.failing_share_max, Symptom.FAILING, said)
    p99_ms = max(report.recent.p99_ms for report in reports if report.recent.calls)
    yield _graded(key, p99_ms, limits.slow_ms_max, Symptom.SLOW, f"one call in a hundred takes {p99_ms / 1000:.1f} s")


def of_queues(queues: Iterable[Queue], limits: SignalLimits) -> Iterator[Signal]:
    """Yield how long messages wait."""
    for queue in queues:
        said = f"{queue.waiting} messages are due and wait, the first of them for {queue.oldest_s:.0f} s"
        key = Key(Kind.QUEUE, queue.channel)
        yield _graded(key, queue.oldest_s, limits.queue_age_s_max, Symptom.BACKLOG, said)


def of_streams(unread: Iterable[tuple[str, int]], limits: SignalLimits) -> Iterator[Signal]:
    """Yield how many events wait for each group."""
    for group, count in unread:
        key = Key(Kind.STREAM, group)
        yield _graded(key, count, limits.stream_unread_max, Symptom.BACKLOG, f"{count} events wait for it")


def of_receipts(receipts: Iterable[Receipts], limits: SignalLimits) -> Iterator[Signal]:
    """Yield which providers no longer say what became of messages. One that never did says nothing by it."""
    for known in receipts:
        if min(known.taken, known.taken_before) < limits.receipts_min or not known.told_before:
            continue
        share, before = known.told / known.taken, known.told_before / known.taken_before
        said = f"it has said of {share:.0%} of its messages that they arrived, instead of {before:.0%}"
        key = Key(Kind.PROVIDER, f"{PROVIDER_PREFIX}{known.provider}")
        if share < before * limits.receipts_fall_max:
            yield Signal(key, Level.ILL, Symptom.RECEIPTS_MISSING, said)


def _graded(key: Key, value: float, limit: float, symptom: Symptom, said: str) -> Signal:
    if value > limit:
        return Signal(key, Level.ILL, symptom, said)
    return Signal(key, Level.UNSURE if value > limit / 2 else Level.WELL)

"""From how things fare to what becomes of alerts: pure.

Invariants, whatever comes in whatever order: of a key, `Raise` and `Recover` take turns, beginning with `Raise`; `Join`
is only between them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from services.notification.alerts.alert import Key, Kind, Symptom
from services.notification.alerts.signals import Level, Signal


class RuleLimits(BaseModel):
    """How patiently alerts begin and end."""

    model_config = ConfigDict(frozen=True)

    confirm_s: float = Field(5.0, ge=0, description="What is not certain at once must be ill for this long")
    healed_s: float = Field(15.0, ge=0, description="An alert is over when its subject has been well for this long")
    relapses_counted_max: int = Field(
        3, ge=0, description="Each relapse asks for as much again of being well, up to so many"
    )
    gone_s: float = Field(600.0, gt=0, description="An alert is over when nobody has spoken of its subject for this")


@dataclass(frozen=True, slots=True)
class Finding:
    """How something fares by all its signals together."""

    key: Key
    level: Level
    symptoms: frozenset[Symptom]
    what: str
    at_once: bool
    since: datetime
    probe_every_ms: int


@dataclass(frozen=True, slots=True)
class Track:
    """What is remembered of something from look to look."""

    is_raised: bool = False
    was_ill: bool = False
    ill_since: datetime | None = None
    well_since: datetime | None = None
    unseen_since: datetime | None = None
    symptoms: frozenset[Symptom] = frozenset()
    relapses: int = 0
    # Of an alert: since when its subject is ill.
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Raise:
    """An outage begins."""

    finding: Finding
    since: datetime


@dataclass(frozen=True, slots=True)
class Join:
    """An alert has another symptom, or its outage came back before it was over."""

    finding: Finding
    symptoms: frozenset[Symptom]
    relapses: int


@dataclass(frozen=True, slots=True)
class Recover:
    """An outage is over."""

    key: Key
    # Nobody speaks of it any more: whether it is well is not known.
    gone: bool = False


Decision = Raise | Join | Recover


def receipts_missing_since(tracks: Mapping[Key, Track]) -> datetime | None:
    """Return since when receipts are missing of some provider; None where they are of none."""
    raised = (track for track in tracks.values() if track.is_raised and Symptom.RECEIPTS_MISSING in track.symptoms)
    return min((track.since for track in raised if track.since is not None), default=None)


def found(signals: Iterable[Signal], now: datetime) -> dict[Key, Finding]:
    """Return how each thing fares: as ill as its worst signal says."""
    by_key: dict[Key, list[Signal]] = {}
    for signal in signals:
        by_key.setdefault(signal.key, []).append(signal)
    return {key: _together(key, same, now) for key, same in by_key.items()}


def _together(key: Key, signals: list[Signal], now: datetime) -> Finding:
    ill = [signal for signal in signals if signal.level is Level.ILL]
    return Finding(
        key,
        max(signal.level for signal in signals),
        frozenset(signal.symptom for signal in ill if signal.symptom is not None),
        "; ".join(signal.said for signal in ill),
        any(signal.at_once for signal in ill),
        now - timedelta(milliseconds=max((signal.ms_ago for signal in ill), default=0)),
        max(signal.probe_every_ms for signal in signals),
    )


def shifted(tracks: Mapping[Key, Track], by: timedelta) -> dict[Key, Track]:
    """Return what is remembered by a clock that was set forward by so much: what lasts has lasted as long as before."""
    return {
        key: replace(
            track,
            ill_since=track.ill_since and track.ill_since + by,
            well_since=track.well_since and track.well_since + by,
            unseen_since=track.unseen_since and track.unseen_since + by,
        )
        for key, track in tracks.items()
    }


def step(
    tracks: Mapping[Key, Track],
    findings: Mapping[Key, Finding],
    unseen: Collection[Kind],
    now: datetime,
    limits: RuleLimits,
) -> tuple[dict[Key, Track], list[Decision]]:
    """Return what is remembered after a look, and what becomes of alerts, in the order of their keys.

    Of the kinds that are `unseen` not all could be known: no alert of them is over.
    """
    after: dict[Key, Track] = {}
    decisions: list[Decision] = []
    for key in sorted(tracks.keys() | findings.keys()):
        track, finding = tracks.get(key, Track()), findings.get(key)
        if track.is_raised and key.kind in unseen and (finding is None or finding.level is not Level.ILL):
            after[key] = replace(track, unseen_since=None, well_since=None)
            continue
        move = _raised if track.is_raised else _not_raised
        kept, decision = move(key, track, finding, now, limits)
        if kept is not None:
            after[key] = kept
        if decision is not None:
            decisions.append(decision)
    return after, decisions


_Moved = tuple[Track | None, Decision | None]


def _not_raised(key: Key, track: Track, finding: Finding | None, now: datetime, limits: RuleLimits) -> _Moved:
    if finding is None or finding.level is Level.WELL:
        return None, None
    if finding.level is Level.UNSURE:
        return (track if track.ill_since else None), None
    since = min(track.ill_since or finding.since, finding.since)
    if not finding.at_once and now - since < timedelta(seconds=limits.confirm_s):
        return replace(track, ill_since=since), None
    return Track(is_raised=True, was_ill=True, symptoms=finding.symptoms, since=since), Raise(finding, since)


def _raised(key: Key, track: Track, finding: Finding | None, now: datetime, limits: RuleLimits) -> _Moved:
    if finding is None:
        unseen_since = track.unseen_since or now
        if now - unseen_since >= timedelta(seconds=limits.gone_s):
            return None, Recover(key, gone=True)
        return replace(track, unseen_since=unseen_since, well_since=None), None
    track = replace(track, unseen_since=None)
    if finding.level is Level.ILL:
        symptoms = track.symptoms | finding.symptoms
        relapses = track.relapses + (not track.was_ill)
        joined = replace(track, was_ill=True, well_since=None, symptoms=symptoms, relapses=relapses)
        is_news = (symptoms, relapses) != (track.symptoms, track.relapses)
        return joined, Join(finding, symptoms, relapses) if is_news else None
    if finding.level is Level.UNSURE:
        return replace(track, was_ill=False, well_since=None), None
    well_since = track.well_since or now
    needed_s = limits.healed_s * (1 + min(track.relapses, limits.relapses_counted_max))
    if now - well_since >= timedelta(seconds=needed_s):
        return None, Recover(key)
    return replace(track, was_ill=False, well_since=well_since), None

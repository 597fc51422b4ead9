from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.alerts.alert import Key, Kind, Symptom
from services.notification.alerts.rules import (
    Decision,
    Finding,
    Join,
    Raise,
    Recover,
    RuleLimits,
    Track,
    found,
    shifted,
    step,
)
from services.notification.alerts.signals import Level, Signal

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIMITS = RuleLimits(confirm_s=5, healed_s=10, relapses_counted_max=2, gone_s=60)
KEY = Key(Kind.NETWORK, "network:lent")
OPEN, FAILING = Symptom.CIRCUIT_OPEN, Symptom.FAILING


def finding(level: Level, at: datetime, key: Key = KEY, *symptoms: Symptom, at_once: bool = True) -> Finding:
    told = frozenset(symptoms or (OPEN,)) if level is Level.ILL else frozenset()
    return Finding(key, level, told, "it is down", at_once and level is Level.ILL, at, 5_000)


class Story:
    """Looks one after another, and what came of them."""

    def __init__(self) -> None:
        self.now = START
        self.tracks: dict[Key, Track] = {}

    def look(
        self,
        level: Level | None,
        *symptoms: Symptom,
        after_s: float = 1.0,
        at_once: bool = True,
        unseen: Collection[Kind] = (),
    ) -> list[Decision]:
        self.now += timedelta(seconds=after_s)
        findings = {} if level is None else {KEY: finding(level, self.now, KEY, *symptoms, at_once=at_once)}
        self.tracks, decisions = step(self.tracks, findings, unseen, self.now, LIMITS)
        return decisions


def test_an_open_circuit_is_told_of_at_once_and_once() -> None:
    story = Story()
    assert [type(one) for one in story.look(Level.ILL)] == [Raise]
    assert story.look(Level.ILL, after_s=600) == []


def test_what_is_not_certain_has_to_last() -> None:
    story = Story()
    assert story.look(Level.ILL, FAILING, at_once=False) == []
    began = story.now
    assert story.look(Level.ILL, FAILING, after_s=4, at_once=False) == []
    assert story.look(Level.UNSURE) == []
    (raised,) = story.look(Level.ILL, FAILING, at_once=False)
    assert isinstance(raised, Raise)
    assert raised.since == began


def test_what_was_well_in_between_begins_anew() -> None:
    story = Story()
    story.look(Level.ILL, FAILING, at_once=False)
    story.look(Level.WELL)
    assert story.look(Level.ILL, FAILING, after_s=100, at_once=False) == []


def test_an_alert_is_over_when_its_subject_was_well_for_long_enough() -> None:
    story = Story()
    story.look(Level.ILL)
    story.look(Level.UNSURE, after_s=100)
    story.look(Level.WELL)
    assert story.look(Level.WELL, after_s=9.9) == []
    assert story.look(Level.WELL, after_s=0.1) == [Recover(KEY)]
    assert story.tracks == {}


def test_flapping_joins_the_alert_and_asks_for_more_patience_each_time() -> None:
    story = Story()
    story.look(Level.ILL)
    for relapses in (1, 2, 3):
        story.look(Level.WELL)
        (joined,) = story.look(Level.ILL)
        assert isinstance(joined, Join)
        assert joined.relapses == relapses
    story.look(Level.WELL)
    assert story.look(Level.WELL, after_s=29) == []
    assert story.look(Level.WELL, after_s=1) == [Recover(KEY)]


def test_a_further_symptom_joins_the_alert() -> None:
    story = Story()
    story.look(Level.ILL, Symptom.SILENT)
    (joined,) = story.look(Level.ILL, OPEN)
    assert isinstance(joined, Join)
    assert joined.symptoms == {Symptom.SILENT, OPEN}
    assert story.look(Level.ILL, Symptom.SILENT) == []


def test_what_nobody_speaks_of_any_more_is_over_after_a_long_while() -> None:
    story = Story()
    story.look(Level.ILL)
    story.look(None)
    assert story.look(None, after_s=59) == []
    assert story.look(None, after_s=1) == [Recover(KEY, gone=True)]


def test_something_is_as_ill_as_its_worst_signal_and_since_its_oldest() -> None:
    signals = [
        Signal(KEY, Level.WELL),
        Signal(KEY, Level.ILL, Symptom.SILENT, "no answer", at_once=True, ms_ago=2_500),
        Signal(KEY, Level.ILL, FAILING, "a third fails"),
    ]
    known = found(signals, START)[KEY]
    assert (known.level, known.symptoms) == (Level.ILL, {Symptom.SILENT, FAILING})
    assert (known.what, known.at_once) == ("no answer; a third fails", True)
    assert known.since == START - timedelta(milliseconds=2_500)


KEYS = [Key(Kind.NETWORK, "network:a"), Key(Kind.PROVIDER, "notification.a"), Key(Kind.QUEUE, "sms")]
looks = st.lists(
    st.tuples(
        st.floats(0.1, 40),
        st.dictionaries(
            st.sampled_from(KEYS),
            st.tuples(st.sampled_from(Level), st.booleans(), st.sampled_from([OPEN, FAILING])),
        ),
    ),
    max_size=60,
)


@given(looks)
def test_any_order_of_changes_raises_and_ends_each_alert_in_turn(
    story: list[tuple[float, dict[Key, tuple[Level, bool, Symptom]]]],
) -> None:
    now, tracks = START, dict[Key, Track]()
    is_open = dict.fromkeys(KEYS, False)
    for after_s, seen in story:
        now += timedelta(seconds=after_s)
        findings = {
            key: finding(level, now, key, symptom, at_once=sure) for key, (level, sure, symptom) in seen.items()
        }
        tracks, decisions = step(tracks, findings, (), now, LIMITS)
        told = set[Key]()
        for decision in decisions:
            key = decision.key if isinstance(decision, Recover) else decision.finding.key
            assert key not in told
            told.add(key)
            assert is_open[key] is not isinstance(decision, Raise)
            if isinstance(decision, Raise):
                is_open[key] = True
                assert decision.since <= now
            elif isinstance(decision, Recover):
                is_open[key] = False
        assert {key for key, track in tracks.items() if track.is_raised} == {key for key in KEYS if is_open[key]}
    # Whatever happened: when all is well for long, all alerts end.
    for _ in range(4):
        now += timedelta(seconds=40)
        tracks, decisions = step(tracks, {key: finding(Level.WELL, now, key) for key in KEYS}, (), now, LIMITS)
        for decision in decisions:
            assert isinstance(decision, Recover)
            is_open[decision.key] = False
    assert not any(is_open.values())
    assert tracks == {}


@pytest.mark.parametrize("level", [Level.WELL, Level.UNSURE])
def test_nothing_is_remembered_of_what_is_not_ill(level: Level) -> None:
    story = Story()
    assert story.look(level) == []
    assert story.tracks == {}


def test_what_cannot_be_seen_is_left_alone_however_long_that_lasts() -> None:
    story = Story()
    story.look(Level.ILL)
    story.look(Level.WELL)
    for _ in range(3):
        assert story.look(None, after_s=LIMITS.gone_s, unseen={KEY.kind}) == []
    # What others say of it meanwhile does not end it either, and joins it.
    assert story.look(Level.WELL, after_s=LIMITS.healed_s, unseen={KEY.kind}) == []
    assert [type(one) for one in story.look(Level.ILL, FAILING, unseen={KEY.kind})] == [Join]
    assert story.look(None) == []
    assert story.look(None, after_s=59) == []
    assert story.look(None, after_s=1) == [Recover(KEY, gone=True)]


def test_blindness_to_one_kind_keeps_no_other_alert_open() -> None:
    story = Story()
    story.look(Level.ILL)
    story.look(Level.WELL, unseen={Kind.STREAM})
    assert story.look(Level.WELL, after_s=LIMITS.healed_s, unseen={Kind.STREAM}) == [Recover(KEY)]


def test_a_clock_that_is_set_ends_no_alert_and_confirms_none() -> None:
    story, step_s = Story(), 3_600.0
    story.look(Level.ILL)
    story.look(Level.WELL)
    story.tracks = shifted(story.tracks, timedelta(seconds=step_s))
    assert story.look(Level.WELL, after_s=step_s + 1) == []
    assert story.look(Level.WELL, after_s=LIMITS.healed_s - 1) == [Recover(KEY)]
    story.look(Level.ILL, FAILING, at_once=False)
    story.tracks = shifted(story.tracks, timedelta(seconds=step_s))
    assert story.look(Level.ILL, FAILING, after_s=step_s + 1, at_once=False) == []

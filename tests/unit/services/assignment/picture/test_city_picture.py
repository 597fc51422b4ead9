"""A picture ends where the database does, however its events are repeated and mixed."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.ids import new_id
from services.assignment.deliveries.lifecycle import DeliveryState, OfferState
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.drift import load_drift, suspects
from services.assignment.picture.facts import ConcernedOffer, Heard, StateChange, live_from
from services.assignment.picture.telling import OfCity, told
from tests.factories import CITY, delivery
from tests.unit.services.assignment.picture.history import BEGAN, History, Read, partner_of

ALWAYS = (0.0, float("inf"))


def mixed(events: list[OfCity], chance: random.Random, repeats: bool) -> list[OfCity]:
    """The events, those of one aggregate in their order, with some told again."""
    lanes: dict[UUID, list[OfCity]] = defaultdict(list)
    for event in events:
        lanes[event.id].append(event)
    waiting = [identifier for identifier, lane in lanes.items() for _ in lane]
    chance.shuffle(waiting)
    found: list[OfCity] = []
    for identifier in waiting:
        found.append(lanes[identifier].pop(0))
        if repeats and chance.random() < 0.3:
            found.append(chance.choice(found))
    return found


def tell(picture: CityPicture, events: list[OfCity], now: Read, versions: dict[UUID, int], *, before: bool) -> int:
    """Tell it the events; what it missed it reads again, as its keeper does. Return how often."""
    missed = 0
    for event in events:
        if told(picture, event, before_the_picture=before) is not Heard.MISSED:
            continue
        missed += 1
        if event.id in now.deliveries:
            picture.put_delivery(now.deliveries[event.id])
        elif event.id in versions:
            picture.end_delivery(event.id, versions[event.id])
        elif event.id in now.partners:
            picture.put_partner(now.partners[event.id])
    return missed


def assert_equal(picture: CityPicture, read: Read) -> None:
    found = suspects(picture, read.partners, read.deliveries, read.completed, ALWAYS)
    assert not found, found
    loaded = [
        partner if partner.id not in picture.partners.row_of
        else partner_of(CITY, id=partner.id, load=picture.partners.load(partner.id))
        for partner in read.partners.values()
    ]  # fmt: skip
    assert load_drift(CITY, loaded, read.deliveries.values()) == []
    pending = {i for i, live in read.deliveries.items() if live.state is DeliveryState.PENDING}
    assert set(picture.pending.due(float("inf"), 10_000)) == pending
    open_offers = {i for i, live in read.deliveries.items() if live.offer and live.offer.expires_at}
    assert set(picture.expiring.due(float("inf"), 10_000)) == open_offers
    for partner_id in read.partners:
        cash = sum(live.cash_on_delivery_paise for live in picture.holdings(partner_id))
        assert picture.partners.column("cash_held_paise")[picture.partners.row_of[partner_id]] == cash


@given(seed=st.integers(0, 2**32), before=st.integers(0, 120), after=st.integers(0, 120), overlap=st.integers(0, 40))
def test_events_after_a_snapshot_lead_to_what_the_database_holds(
    seed: int, before: int, after: int, overlap: int
) -> None:
    chance = random.Random(seed)
    history = History(chance)
    for _ in range(before):
        history.step()
    picture, snapshot_at = history.read().picture(), len(history.events)
    for _ in range(after):
        history.step()
    now, versions = history.read(), history.versions()
    # What the snapshot holds already is told first, as the overlap.
    tell(picture, history.events[max(0, snapshot_at - overlap) : snapshot_at], now, versions, before=True)
    missed = tell(picture, mixed(history.events[snapshot_at:], chance, repeats=True), now, versions, before=False)
    assert_equal(picture, now)
    if not overlap:
        assert not missed, "nothing was left out"


@given(seed=st.integers(0, 2**32), lost=st.floats(0, 0.5))
def test_what_is_lost_is_noticed_by_the_next_event_of_the_same(seed: int, lost: float) -> None:
    chance = random.Random(seed)
    history = History(chance)
    for _ in range(80):
        history.step()
    picture = history.read().picture()
    first = len(history.events)
    for _ in range(80):
        history.step()
    later = history.events[first:]
    last = {event.id: place for place, event in enumerate(later)}
    heard = [event for place, event in enumerate(later) if place == last[event.id] or chance.random() >= lost]
    now = history.read()
    tell(picture, heard, now, history.versions(), before=False)
    assert not suspects(picture, now.partners, now.deliveries, picture.completed, ALWAYS)


def test_a_delivery_that_has_ended_stays_so_whoever_tells_of_it_again() -> None:
    picture, made = CityPicture(CITY, ended_max=2), [live_from(delivery()) for _ in range(3)]
    for live in made:
        assert picture.told_creation(live) is Heard.NEWS
        picture.end_delivery(live.id, 2)
    assert [picture.told_creation(live) for live in made[1:]] == [Heard.KNOWN, Heard.KNOWN]
    assert picture.delivery_version(made[0].id) is None, "the oldest are forgotten"


def test_what_has_ended_may_be_put_right_and_is_not_read_again_for_that() -> None:
    picture, live = CityPicture(CITY), live_from(delivery())
    picture.put_delivery(live)
    picture.end_delivery(live.id, live.version)
    called_off = StateChange(
        live.id, live.version + 1, DeliveryState.CANCELLED, datetime.now(UTC), None, None, None, is_correction=True
    )
    assert [picture.told_change(called_off) for _ in range(2)] == [Heard.NEWS, Heard.KNOWN]
    # Of what had ended before anything was read, nothing is missing either.
    assert picture.told_change(replace(called_off, id=new_id(), version=6)) is Heard.NEWS
    other = live_from(delivery())
    picture.put_delivery(other)
    assert picture.told_change(replace(called_off, id=other.id, version=other.version + 2)) is Heard.MISSED
    assert list(picture.deliveries) == [other.id]


def test_a_hand_over_counts_once_and_when_it_was_recorded_however_often_it_is_corrected() -> None:
    picture, partner_id, recorded_at = CityPicture(CITY), new_id(), datetime.now(UTC)
    held = live_from(delivery(DeliveryState.OUT_FOR_DELIVERY, partner_id))
    completed = ConcernedOffer(new_id(), partner_id, OfferState.COMPLETED, None)
    done = StateChange(held.id, held.version + 1, DeliveryState.DELIVERED, recorded_at, None, completed, None)
    picture.put_delivery(held)
    assert picture.told_change(done) is Heard.NEWS
    for further in (1, 2):
        later = recorded_at + timedelta(hours=further)
        corrected = replace(done, version=done.version + further, recorded_at=later, offer=None, is_correction=True)
        assert [picture.told_change(corrected) for _ in range(2)] == [Heard.NEWS, Heard.KNOWN]
    assert picture.completed == {partner_id: [recorded_at.timestamp()]}
    assert picture.delivery_version(held.id) == done.version + 2
    assert not picture.deliveries


def test_what_stays_pending_waits_and_what_has_moved_on_does_not() -> None:
    picture, live = CityPicture(CITY), live_from(delivery())
    picture.put_delivery(live)
    later = live.match_after + timedelta(seconds=8)
    picture.stayed(live.id, later, 3)
    assert (picture.deliveries[live.id].match_attempts, picture.pending.time_s(0)) == (3, later.timestamp())
    picture.end_delivery(live.id, 2)
    picture.stayed(live.id, later, 4)
    assert len(picture.pending) == 0


def test_a_partner_that_left_does_not_come_back_by_an_old_event() -> None:
    picture, partner = CityPicture(CITY), partner_of(CITY)
    gone = partner_of("DEL", id=partner.id, version=2)
    assert [picture.told_partner(p) for p in (partner, gone, partner)] == [Heard.NEWS, Heard.NEWS, Heard.KNOWN]
    assert len(picture.partners) == 0
    assert picture.told_partner(partner_of(CITY, id=partner.id, version=3)) is Heard.NEWS
    assert len(picture.partners) == 1


@pytest.mark.parametrize("before_s", [-10.0, 1_000.0])
def test_a_new_read_keeps_what_was_completed_since_it_began(before_s: float) -> None:
    began_s, partner = BEGAN.timestamp(), partner_of(CITY)
    old, made = CityPicture(CITY), CityPicture(CITY)
    for at_s in (began_s + before_s, began_s + 5, began_s + 5):
        old.add_completed(partner.id, at_s)
    made.succeed(old, {partner.id: [began_s + 5]}, began_s)
    kept = [began_s + before_s] if before_s > 0 else []
    assert made.completed[partner.id] == sorted([began_s + 5, began_s + 5, *kept])
    made.forget_completed(began_s + 6)
    assert made.completed.get(partner.id, []) == kept

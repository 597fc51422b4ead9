"""Events as news: of older code, of other things, and nonsense."""

import base64
import json
from datetime import UTC, datetime

import pytest
from lastmile.events.v1 import event_pb2

from libs.streams.codec import UndecodableEventError
from services.assignment.deliveries.codec import created_event, delivery_to
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.offers.codec import moved_event
from services.assignment.offers.decision import decide
from services.assignment.offers.offer import Move
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.codec import news_of
from services.assignment.picture.facts import Heard, StateChange, Unclear, live_from
from services.assignment.picture.telling import told
from tests.factories import CITY, delivery

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def message_of(text: str) -> event_pb2.Event:
    return event_pb2.Event.FromString(base64.b64decode(json.loads(text)["data_base64"]))


def test_a_creation_tells_all_that_the_database_holds_of_it() -> None:
    made = delivery()
    assert news_of(message_of(created_event(delivery_to(made), made.match_after, NOW, ""))) == live_from(made)


def test_a_creation_by_older_code_must_be_read() -> None:
    made = delivery()
    message = message_of(created_event(delivery_to(made), made.match_after, NOW, ""))
    message.delivery_created.ClearField("match_after")
    news = news_of(message)
    assert news == Unclear(made.id, 1)
    picture = CityPicture(CITY)
    assert told(picture, news) is Heard.MISSED
    picture.put_delivery(live_from(made))
    assert told(picture, news) is Heard.KNOWN


@pytest.mark.parametrize("field", ["match_after", ""])
def test_a_delivery_that_is_pending_again_must_be_read_when_the_event_does_not_say_from_when_on(field: str) -> None:
    made = delivery(DeliveryState.PENDING)
    cancelled = decide(Move(made.id, DeliveryState.CANCELLED, Actor.OPS), made, None, NOW).moved
    message = message_of(moved_event(cancelled, ""))
    change = news_of(message)
    assert isinstance(change, StateChange)
    assert (change.version, change.ends, change.completed_by) == (2, True, None)
    message.delivery_state_changed.change.to_state = 1
    if not field:
        message.delivery_state_changed.match_after.FromDatetime(NOW)
    picture = CityPicture(CITY)
    picture.put_delivery(live_from(made))
    again = news_of(message)
    assert isinstance(again, StateChange)
    assert told(picture, again) is (Heard.MISSED if field else Heard.NEWS)


def test_what_pictures_hold_nothing_of_is_no_news() -> None:
    assert news_of(event_pb2.Event(city_changed=event_pb2.CityChanged())) is None
    assert news_of(event_pb2.Event()) is None


@pytest.mark.parametrize("harm", ["id", "state", "time"])
def test_nonsense_is_told_apart(harm: str) -> None:
    made = delivery()
    message = message_of(created_event(delivery_to(made), made.match_after, NOW, ""))
    created = message.delivery_created
    if harm == "id":
        created.delivery.id = "nobody"
    elif harm == "state":
        created.delivery.state = 99
    else:
        created.match_after.seconds = 2**60
    with pytest.raises(UndecodableEventError):
        news_of(message)

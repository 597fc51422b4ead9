"""An event for each of its readers: none is shown what the RPCs would keep from it."""

import json
from datetime import UTC, datetime
from typing import Any

from lastmile.assignment.v1 import assignment_pb2, delivery_pb2
from lastmile.events.v1 import event_pb2

from libs.grpc_server.identity import Role
from services.assignment.events import event_text
from services.gateway.live.audience import Audience
from services.gateway.live.codec import LiveEvent
from services.gateway.live.position import Position
from services.gateway.live.tail import Entry
from services.gateway.rest.codec import GoogleJsonCodec

OF_AN_OFFER = {"offer", "pickupRank", "dropRank"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def moved(change_of: str, offer_to: str) -> LiveEvent:
    change = delivery_pb2.DeliveryChange(partner_id=change_of, note="second\nfloor", reason="R")
    offer = assignment_pb2.Offer(id="o", partner_id=offer_to, cost_s=12.5)
    data = event_pb2.DeliveryStateChanged(delivery_id="d", change=change, offer=offer, pickup_rank=1.5, drop_rank=2.5)
    text = event_text(
        event_pb2.Event(delivery_state_changed=data), subject="deliveries/d", city_code="BLR", sequence=4,
        at=datetime(2026, 11, 25, tzinfo=UTC), merchant_id="m", traceparent=TRACE,
    )  # fmt: skip
    return LiveEvent(Entry(Position(7, 26, 0), "s", text.encode()), GoogleJsonCodec())


def data_of(frame: bytes) -> dict[str, Any]:
    lines = frame.decode().split("\n")
    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    found: dict[str, Any] = json.loads(lines[2].removeprefix("data: "))
    return found


def test_ops_sees_everything_in_public_json() -> None:
    event = moved("p", "p")
    frame = event.frame(Audience(Role.OPS))
    assert frame.startswith(b"id: 7.26-0\nevent: lastmile.delivery.state_changed.v1\ndata: ")
    shown = data_of(frame)
    assert (shown["merchantid"], shown["citycode"], shown["sequence"], shown["traceparent"]) == ("m", "BLR", "4", TRACE)
    assert shown["time"] == "2026-11-25T00:00:00+00:00"
    assert shown["data"]["change"]["note"] == "second\nfloor"
    assert shown["data"]["offer"]["costS"] == 12.5
    assert event.frame(Audience(Role.OPS, city_code="BLR")) is frame


def test_a_merchant_sees_no_offer() -> None:
    shown = data_of(moved("p", "p").frame(Audience(Role.MERCHANT, merchant_id="m")))
    assert not OF_AN_OFFER & shown["data"].keys()
    assert shown["data"]["change"]["partnerId"] == "p"
    assert "traceparent" not in shown


def test_a_partner_sees_its_own_part_alone() -> None:
    courier = Audience(Role.PARTNER, partner_id="p")
    both = data_of(moved("p", "p").frame(courier))
    assert "merchantid" not in both
    assert both["data"]["offer"]["id"] == "o"
    assert both["data"].keys() >= OF_AN_OFFER
    others_offer = data_of(moved("p", "q").frame(courier))
    assert not OF_AN_OFFER & others_offer["data"].keys()
    others_change = data_of(moved("q", "p").frame(courier))["data"]["change"]
    assert (others_change["partnerId"], others_change["note"], others_change["reason"]) == ("", "", "")


def test_an_envelope_is_passed_over_undecoded_only_where_it_cannot_concern_the_audience() -> None:
    text = event_text(
        event_pb2.Event(delivery_state_changed=event_pb2.DeliveryStateChanged(delivery_id="d-1")),
        subject="deliveries/d-1", city_code="BLR", sequence=4, at=datetime(2026, 11, 25, tzinfo=UTC), merchant_id="m-1",
    ).encode()  # fmt: skip
    for sees in ({}, {"merchant_id": "m-1"}, {"city_code": "BLR"}, {"delivery_id": "d-1", "merchant_id": "m-1"}):
        assert Audience(Role.OPS, **sees).might_see(text)
    for sees in ({"merchant_id": "m-2"}, {"city_code": "DEL"}, {"delivery_id": "d-2", "merchant_id": "m-1"}):
        assert not Audience(Role.OPS, **sees).might_see(text)
    assert Audience(Role.PARTNER, partner_id="p").might_see(text)


def test_bytes_that_are_no_event_concern_nobody() -> None:
    for content in (None, b"", b"\xff", b"{}"):
        assert LiveEvent(Entry(Position(7, 26, 0), "s", content), GoogleJsonCodec()).concern is None

"""Events become facts: the partner from the change or its offer, cash in INR only, and nothing of other events."""

import pytest
from lastmile.events.v1 import event_pb2

from libs.money.errors import CurrencyMismatchError
from services.reconciliation.deliveries.codec import VEHICLES, changes_in, versions_in
from tests.ledger import NAMES, version_of
from tests.ledger_events import Told, partner_event


def test_a_delivery_s_events_are_its_changes() -> None:
    told = Told("BLR")
    found = changes_in(event.message for event in told.events)
    assert [(c.sequence, c.state, c.occurred_at, c.partner_id, c.order) for c in found] == [
        (c.sequence, c.state, c.occurred_at, c.partner_id, c.order) for c in told.changes
    ]
    assert [str(change.event_id) for change in found] == [event.id for event in told.events]


def test_goods_without_a_time_are_ready_at_once_and_bring_no_cash_unless_they_do() -> None:
    message = Told("BLR").events[0].message
    message.delivery_created.delivery.details.ClearField("ready_at")
    message.delivery_created.delivery.details.ClearField("cash_on_delivery")
    (change,) = changes_in([message])
    assert change.order is not None
    assert (change.order.ready_at, change.order.cash_paise) == (change.occurred_at, 0)


def test_the_change_names_the_partner_before_its_offer_does() -> None:
    message = Told("BLR").events[2].message
    message.delivery_state_changed.change.partner_id = str(NAMES)
    (change,) = changes_in([message])
    assert change.partner_id == NAMES


def test_cash_in_another_currency_is_refused() -> None:
    message = Told("BLR").events[0].message
    message.delivery_created.delivery.details.cash_on_delivery.currency_code = "USD"
    with pytest.raises(CurrencyMismatchError):
        changes_in([message])


def test_a_partner_s_event_is_its_version_and_other_events_are_nothing() -> None:
    wanted = version_of(version=7, vehicle="three_wheeler", network_code="dunzo")
    event = partner_event(wanted)
    (found,) = versions_in([event.message, event_pb2.Event(city_changed=event_pb2.CityChanged())])
    assert (found.version, found.vehicle, found.network_code, found.changed_at) == (
        7, "three_wheeler", "dunzo", wanted.changed_at,
    )  # fmt: skip
    assert changes_in([event.message]) == []
    assert "on_foot" in VEHICLES.values()

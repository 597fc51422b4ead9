from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.dispatch.mapping import CallbackMapping
from services.assignment.dispatch.update import REASON_CHARS_MAX, UpdateRefusedError, reachable, update_of

OFFER = "01900000-0000-7000-8000-000000000001"
MAPPING = CallbackMapping()


def body(**data: object) -> dict[str, object]:
    return {"type": "offer.rejected", "data": {"offer_id": OFFER, **data}}


def test_an_update_says_which_offer_what_why_and_when() -> None:
    update = update_of(body(reason="too\x00 far", occurred_at="2026-11-25T10:00:00+05:30"), MAPPING)
    assert update is not None
    assert (str(update.offer_id), update.is_reject, update.to_state) == (OFFER, True, DeliveryState.PENDING)
    assert update.reason == "too far"
    assert update.occurred_at is not None
    assert update.occurred_at.utcoffset() is not None


def test_a_rejection_without_a_reason_has_one_and_a_long_one_is_cut() -> None:
    without, long = update_of(body(), MAPPING), update_of(body(reason="x" * 5_000), MAPPING)
    assert without is not None
    assert long is not None
    assert (without.reason, len(long.reason)) == ("OFFER_REJECTED", REASON_CHARS_MAX)


def test_a_type_without_meaning_is_nothing() -> None:
    assert update_of({"type": "courier.smiled"}, MAPPING) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "type"),
        ({"type": 7}, "type"),
        ({"type": "offer.accepted"}, "offer_id"),
        (body(offer_id="x"), "offer_id"),
        (body(occurred_at="yesterday"), "occurred_at"),
        (body(occurred_at=7), "occurred_at"),
        (body(occurred_at="2026-11-25T10:00:00"), "occurred_at"),
    ],
)
def test_what_is_wrong_is_named(wrong: object, said: str) -> None:
    with pytest.raises(UpdateRefusedError, match=said):
        update_of(wrong, MAPPING)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["type", "data"]), _JSON | st.sampled_from(sorted(MAPPING.types))) | _JSON)
def test_no_json_does_anything_but_mean_something_or_be_refused(value: object) -> None:
    with suppress(UpdateRefusedError):
        update_of(value, MAPPING)


def test_what_a_partner_may_bring_a_delivery_to() -> None:
    assert DeliveryState.DELIVERED in reachable(DeliveryState.ASSIGNED)
    assert reachable(DeliveryState.DELIVERED) == frozenset()
    assert DeliveryState.ASSIGNED not in reachable(DeliveryState.PICKED_UP)
    assert DeliveryState.OUT_FOR_DELIVERY in reachable(DeliveryState.OUT_FOR_DELIVERY)

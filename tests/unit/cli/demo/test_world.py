"""The demo's world keeps to the rules of the product."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from lastmile.reconciliation.v1 import rate_card_pb2

from cli.demo import world
from libs.grpc_server.validation import violations_of
from services.assignment.cities.city import City, MatchingPolicy
from services.assignment.deliveries.lifecycle import TERMINAL, Actor, DeliveryState, check_transition, needs_reason
from services.reconciliation.rate_cards.codec import terms_from

NOW = datetime(2030, 1, 1, tzinfo=UTC)
seeds = st.integers(0, 2**31)
names = st.uuids().map(str)
LIVE = ("ASSIGNED", "PICKED_UP", "OUT_FOR_DELIVERY", "ATTEMPT_FAILED", "RETURNING")


@given(seeds, names, st.sampled_from(LIVE))
def test_every_story_is_legal_and_has_an_end(seed: int, delivery_id: str, state: str) -> None:
    steps = world.steps_from(seed, delivery_id, state, 300.0)
    at = DeliveryState(state.lower())
    for step in steps:
        after = DeliveryState(step.state.lower())
        check_transition(at, after, Actor.OPS)
        assert step.reason or not needs_reason(after)
        assert step.after_s >= 0
        at = after
    assert at in TERMINAL


@given(seeds, st.integers(0, 10_000))
def test_every_order_lies_in_its_city(seed: int, number: int) -> None:
    details = world.order_body(seed, number, ["m"], NOW)["details"]
    city = world.BY_CODE[details["cityCode"]]
    area = City(city.code, city.name, "", city.lat, city.lng, city.radius_m, MatchingPolicy(), 1, NOW)
    for end in ("pickup", "drop"):
        distance_m = area.distance_from_center_m(details[end]["latitudeDeg"], details[end]["longitudeDeg"])
        assert distance_m <= city.radius_m / 2
    assert 0 < details["weightG"] <= 8_000


@pytest.mark.parametrize("count", [25, 150, 400])
def test_every_city_has_a_partner_and_no_two_share_a_reference(count: int) -> None:
    bodies = world.partner_bodies(1, count)
    assert len({body["profile"]["reference"] for body in bodies}) == len(bodies) == count
    assert {body["profile"]["cityCode"] for body in bodies} == {city.code for city in world.CITIES}


def test_a_seed_makes_the_same_world_again() -> None:
    assert world.partner_bodies(3, 60) == world.partner_bodies(3, 60)
    assert world.order_body(3, 8, ["a", "b"], NOW) == world.order_body(3, 8, ["a", "b"], NOW)
    assert world.partner_bodies(3, 60) != world.partner_bodies(4, 60)


def test_offers_are_mostly_accepted_sometimes_rejected_and_rarely_ignored() -> None:
    answers = Counter(world.answer_to(1, str(number))[0] for number in range(4_000))
    assert answers["accept"] / 4_000 == pytest.approx(world.ACCEPTED_SHARE, abs=0.03)
    assert answers["reject"] / 4_000 == pytest.approx(world.REJECTED_SHARE, abs=0.03)
    assert answers[""] > 0


def test_there_are_25_cities_with_codes_of_their_own() -> None:
    assert len(world.CITIES) == len(world.BY_CODE) == 25


def test_every_partner_s_vehicle_has_a_rate_card_in_its_city_that_the_product_takes() -> None:
    bodies = world.rate_card_bodies()
    for body in bodies:
        request = json_format.ParseDict(body, rate_card_pb2.CreateRateCardRequest())
        assert violations_of(request) == []
        assert terms_from(request.terms).problems() == []
    scopes = {(body["scope"]["cityCode"], body["scope"]["vehicle"]) for body in bodies}
    profiles = [body["profile"] for body in world.partner_bodies(1, 400)]
    assert {(profile["cityCode"], profile["vehicle"]) for profile in profiles} <= scopes

"""What a window takes from a picture."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest

from libs.ids import new_id
from services.assignment.deliveries.delivery import Point
from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.matching.problem import UNLIMITED, UNRATED
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.networks.network import PartnerNetwork
from services.assignment.partners.partner import Capacity, Partner, Slot
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.columns import (
    WINDOW_FULL,
    Taken,
    WindowLimits,
    earned_per_h,
    packages_of,
    partners_of,
    taken,
)
from services.assignment.picture.company import Company
from services.assignment.picture.facts import LiveDelivery, LiveOffer, live_from
from tests.factories import CITY, delivery
from tests.unit.services.assignment.picture.history import BEGAN, partner_of

LIMITS = WindowLimits(100, 10_000, 10, 4_000, 28_800.0, 60.0, 30.0)
NOW_S = BEGAN.timestamp() + 3_600
LATER = BEGAN + timedelta(days=1)


def waiting(**changes: object) -> LiveDelivery:
    return replace(live_from(delivery()), **({"match_after": BEGAN} | changes))  # type: ignore[arg-type]  # names are the fields'


def held_by(partner: Partner, rank: float = 1.0, **changes: object) -> LiveDelivery:
    offer = LiveOffer(new_id(), partner.id, None, rank, rank + 1)
    return replace(live_from(delivery()), state=DeliveryState.ASSIGNED, offer=offer, **changes)  # type: ignore[arg-type]  # names are the fields'


def city_of(*partners: Partner, deliveries: tuple[LiveDelivery, ...] = ()) -> CityPicture:
    picture = CityPicture(CITY)
    for partner in partners:
        picture.put_partner(partner)
    for live in deliveries or (waiting(),):
        picture.put_delivery(live)
    return picture


def window_of(picture: CityPicture, company: Company | None = None, limits: WindowLimits = LIMITS) -> Taken:
    window = taken(picture, company or Company(), limits, NOW_S)
    assert window is not None
    return window


def profiled(partner: Partner, **changes: object) -> Partner:
    return replace(partner, profile=replace(partner.profile, **changes))  # type: ignore[arg-type]  # names are the fields'


def in_order(*partners: Partner) -> list[Partner]:
    return sorted(partners, key=lambda partner: partner.id)


def test_nothing_is_taken_where_nothing_is_due() -> None:
    assert taken(city_of(partner_of(CITY), deliveries=(waiting(match_after=LATER),)), Company(), LIMITS, NOW_S) is None


def test_those_are_counted_who_take_no_part() -> None:
    full = profiled(partner_of(CITY), capacity=Capacity(1, 9_000, 90_000, 700))
    everyone = [partner_of(CITY), partner_of(CITY), partner_of(CITY, availability="offline"), full]
    picture = city_of(*everyone, deliveries=(waiting(), held_by(full)))
    window = window_of(picture, limits=replace(LIMITS, partners_max=1))
    assert window.ids == [str(min(partner.id for partner in everyone[:2]))]
    assert window.absent == {"OFFLINE": 1, "NO_PARCELS_LEFT": 1, WINDOW_FULL: 1}


def test_the_longest_waiting_come_first_and_only_as_many_as_there_is_room_for() -> None:
    rows = [waiting(match_after=BEGAN + timedelta(seconds=n)) for n in (3, 1, 2)]
    picture = city_of(partner_of(CITY), partner_of(CITY), deliveries=tuple(rows))
    window = window_of(picture, limits=replace(LIMITS, pairs_max=4))
    assert [live.id for live in window.deliveries] == [rows[1].id, rows[2].id]


def test_what_is_not_said_limits_nobody_and_nothing_is_left_below_what_is_held() -> None:
    one, two, three = in_order(*(partner_of(CITY) for _ in range(3)))
    two = profiled(two, cash_limit_paise=4_000, rating=2.5, network_code="lent")
    three = profiled(three, cash_limit_paise=9_000)
    deliveries = (waiting(), *(held_by(p, cash_on_delivery_paise=5_000) for p in (one, two, three)))
    company = Company()
    company.told_network(PartnerNetwork("lent", 0.0, "", 1, BEGAN))
    columns = partners_of(window_of(city_of(one, two, three, deliveries=deliveries), company), {})
    assert columns.cash_paise_left.tolist() == [UNLIMITED, 0, 4_000]
    assert columns.rating.tolist() == [UNRATED, 2.5, UNRATED]
    assert columns.network_health.tolist() == [1.0, 0.0, 1.0]
    assert columns.parcels_left.tolist() == [3, 3, 3]


def test_a_merchant_keeps_insisting_on_partners_who_are_not_here() -> None:
    one, two = in_order(partner_of(CITY), partner_of(CITY))
    shop, stall, company = waiting(), waiting(), Company()
    company.told_lists(MerchantPartners(shop.merchant_id, (new_id(),), (two.id,), 1))
    company.told_lists(MerchantPartners(stall.merchant_id, (), (new_id(), one.id), 1))
    window = window_of(city_of(one, two, deliveries=(shop, stall)), company)
    columns, packages = partners_of(window, {}), packages_of(window, 60, 60)
    number = {live.merchant_id: int(packages.merchant[row]) for row, live in enumerate(window.deliveries)}
    assert columns.merchants_allowed.tolist() == []
    assert columns.merchants_choosing.tolist() == [number[shop.merchant_id]]
    assert sorted(columns.merchants_denied.tolist()) == sorted(
        [[1, number[shop.merchant_id]], [0, number[stall.merchant_id]]]
    )


def test_earnings_count_from_the_beginning_of_the_shift() -> None:
    on_slot, free = in_order(partner_of(CITY), partner_of(CITY))
    slot = Slot(BEGAN + timedelta(minutes=30), BEGAN + timedelta(hours=4))
    picture = city_of(replace(on_slot, shift_slots=(slot,)), free)
    for partner in (on_slot, free):
        for minutes in (10, 40, 50):
            picture.add_completed(partner.id, (BEGAN + timedelta(minutes=minutes)).timestamp())
    columns = partners_of(window_of(picture), {})
    # Half an hour counts as one; eight are assumed of who has no slot.
    assert columns.earned_paise_per_h.tolist() == [2 * 4_000, 3 * 4_000 // 8]
    assert columns.slot_offsets.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("earned", "shift_s", "per_h"), [(8_000, 7_200, 4_000), (4_000, 60, 4_000), (4_000, 0, 4_000), (0, 9_999, 0)]
)
def test_earnings_are_spread_over_the_shift_once_it_has_lasted_an_hour(earned: int, shift_s: float, per_h: int) -> None:
    assert earned_per_h(np.array([float(earned)]), np.array([shift_s])).tolist() == [per_h]


def test_partners_are_where_they_were_seen_or_at_home() -> None:
    one, two = in_order(partner_of(CITY), partner_of(CITY))
    seen: dict[UUID, Point] = {two.id: Point(13.0, 77.0)}
    places = partners_of(window_of(city_of(one, two)), seen).place
    assert places.tolist() == [[one.profile.home.lat, one.profile.home.lng], [13.0, 77.0]]


def test_who_has_declined_a_delivery_is_not_asked_again() -> None:
    one, two = in_order(partner_of(CITY), partner_of(CITY))
    live = waiting(declined=frozenset({two.id, new_id()}))
    assert packages_of(window_of(city_of(one, two, deliveries=(live,))), 60, 60).declined.tolist() == [[0, 1]]


def test_a_route_follows_what_its_partner_holds() -> None:
    one, two = in_order(partner_of(CITY), partner_of(CITY))
    first, second = held_by(two), held_by(two, 3.0)
    picture = city_of(one, two, deliveries=(waiting(), first, second))
    window = window_of(picture)
    assert window.routes.offsets.tolist() == [0, 0, 4]
    assert window.ranks.first.tolist() == [1, 2, 3, 4]
    picture.end_delivery(first.id, 5)
    window = window_of(picture)
    assert window.routes.offsets.tolist() == [0, 0, 2]
    assert window.routes.service_s.tolist() == [60, 30]

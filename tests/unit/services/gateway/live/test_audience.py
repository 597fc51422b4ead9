"""Who sees what; each refusal is one that somebody would try to get round."""

import pytest

from libs.grpc_server.identity import Principal, Role
from services.gateway.live.audience import Audience, Concern

OWN, OTHER, PARTNER, STRANGER = "merchant-own", "merchant-other", "partner-own", "partner-other"
OPS = Principal("k", Role.OPS)
MERCHANT = Principal("k", Role.MERCHANT, merchant_id=OWN.upper())
COURIER = Principal("k", Role.PARTNER, partner_id=PARTNER)
MINE = Concern(OWN, "BLR", "d1", frozenset({PARTNER}))
THEIRS = Concern(OTHER, "BLR", "d2", frozenset({STRANGER}))
NOBODYS = Concern("", "BLR", "", frozenset())


def audience(principal: Principal, merchant_id: str = "", city_code: str = "", delivery_id: str = "") -> Audience:
    return Audience.of(principal, merchant_id, city_code, delivery_id)


@pytest.mark.parametrize(
    ("asks", "sees"),
    [
        (audience(OPS), {MINE, THEIRS, NOBODYS}),
        (audience(OPS, merchant_id=OTHER), {THEIRS}),
        (audience(OPS, city_code="DEL"), set()),
        (audience(OPS, delivery_id="D2"), {THEIRS}),
        (audience(OPS, merchant_id=OWN, delivery_id="d2"), set()),
        (audience(MERCHANT), {MINE}),
        (audience(MERCHANT, merchant_id=OTHER), {MINE}),
        (audience(MERCHANT, city_code="BLR"), {MINE}),
        (audience(MERCHANT, delivery_id="d2"), set()),
        (audience(COURIER), {MINE}),
        (audience(COURIER, city_code="BLR"), {MINE}),
        (audience(COURIER, delivery_id="d2"), set()),
        (Audience(Role.MERCHANT), set()),
        (Audience(Role.PARTNER), set()),
    ],
)
def test_an_audience_sees_what_it_may_of_what_it_asks(asks: Audience, sees: set[Concern]) -> None:
    assert {concern for concern in (MINE, THEIRS, NOBODYS) if asks.sees(concern)} == sees
    # Whatever it sees stands under its heading, or it would never be given it.
    assert all(asks.heading in set(concern.headings()) for concern in sees)


def test_only_those_who_see_the_same_share_a_view() -> None:
    assert audience(MERCHANT).view == audience(Principal("k", Role.MERCHANT, merchant_id=OTHER)).view
    views = {audience(one).view for one in (OPS, MERCHANT, COURIER, Principal("k", Role.PARTNER, partner_id=STRANGER))}
    assert len(views) == 4

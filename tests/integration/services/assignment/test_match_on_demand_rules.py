"""Match over gRPC asks every rule, of what the caller alone knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.assignment.v1 import assignment_pb2, city_pb2, partner_pb2
from lastmile.common.v1 import money_pb2, parcel_pb2

from tests.assignment_api import AssignmentApi, place

ASIDE = place(12.9800, 77.6100)


def rupees(amount: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="INR", amount_minor=amount * 100)


def package(name: str, **more: Any) -> assignment_pb2.MatchPackage:
    """A parcel so small that everybody has room for it."""
    box = parcel_pb2.Dimensions(length_mm=1, width_mm=1, height_mm=1)
    return assignment_pb2.MatchPackage(
        **({"id": name, "pickup": ASIDE, "drop": ASIDE, "weight_g": 1, "dimensions": box} | more)
    )


def partner(name: str, **more: Any) -> assignment_pb2.MatchPartner:
    """Someone in a car nearby."""
    room = partner_pb2.Capacity(parcels_max=9, weight_g_max=99, volume_cm3_max=99, side_mm_max=9)
    where, vehicle = place(12.98, 77.62), parcel_pb2.VEHICLE_CAR
    return assignment_pb2.MatchPartner(id=name, location=where, vehicle=vehicle, capacity_left=room, **more)


async def test_a_match_on_demand_can_ask_every_rule(assignment_api: AssignmentApi) -> None:
    ops = assignment_api.ops
    request = assignment_pb2.MatchRequest(time_zone="Asia/Kolkata")
    request.policy.CopyFrom(
        city_pb2.MatchingPolicy(window_ms=50, window_deliveries_max=9, pickup_distance_m_max=9_000, offer_ttl_s=9)
    )
    by_hour = [5.0] * 24
    request.at.FromDatetime(datetime(2027, 1, 15, 4, 30, tzinfo=UTC))
    by_hour[10] = 2.0  # in Kolkata
    request.policy.speeds.add(vehicle=parcel_pb2.VEHICLE_CAR, speed_m_per_s=by_hour)
    for name, more in (
        ("plain", {}),
        ("cash", {"cash_on_delivery": rupees(50)}),
        ("valuable", {"declared_value": rupees(30_000)}),
        ("shop", {"merchant_id": "shop"}),
        ("stall", {"merchant_id": "stall"}),
        ("declined", {"declined_partner_ids": ["poor", "down"]}),
        ("patient", {"placed_at": _moment(request.at, -600)}),
    ):
        request.packages.append(package(name, **more))
    for name, more in (
        ("poor", {"cash_left": rupees(49), "rating": 3.4, "allowed_by_merchant_ids": ["shop", "nobody"]}),
        ("down", {"network_health": 0.0}),
        ("rich", {"earned_per_hour": rupees(500), "denied_by_merchant_ids": ["stall"]}),
    ):
        request.partners.append(partner(name, **more))
    answer = await ops.ask(ops.assignments.Match, request)
    results = {result.package_id: result for result in answer.results}
    lost = {name: dict(result.partners_lost) for name, result in results.items()}
    assert lost == {
        "plain": {"NETWORK_DOWN": 1},
        "cash": {"NETWORK_DOWN": 1, "CASH_LIMIT": 1},
        "valuable": {"NETWORK_DOWN": 1, "RATED_TOO_LOW": 1},
        "shop": {"MERCHANT_REFUSES": 2},
        "stall": {"NETWORK_DOWN": 1, "MERCHANT_REFUSES": 1},
        "declined": {"DECLINED_BEFORE": 2},
        "patient": {"NETWORK_DOWN": 1},
    }
    chosen = results["cash"].chosen
    assert chosen.partner_id == "rich"
    assert chosen.terms_s["fairness"] == 60.0
    assert chosen.terms_s["pickup_travel"] == pytest.approx(chosen.pickup_distance_m / 2.0, abs=0.01)
    assert results["shop"].chosen.partner_id == results["stall"].chosen.partner_id == "poor"
    assert (results["plain"].chosen.terms_s["waiting"], results["patient"].chosen.terms_s["waiting"]) == (600.0, 0.0)
    request.time_zone = "Mars/Base"
    request.packages[1].cash_on_delivery.currency_code = "USD"
    request.packages[5].declined_partner_ids.append("who")
    request.partners[2].earned_per_hour.currency_code = "EUR"
    refusal = await ops.refused(ops.assignments.Match, request)
    assert set(refusal.fields) == {
        "time_zone",
        "packages[1].cash_on_delivery.currency_code",
        "packages[5].declined_partner_ids[2]",
        "partners[2].earned_per_hour.currency_code",
    }


def _moment(at: Timestamp, later_s: int) -> Timestamp:
    moved = Timestamp()
    moved.FromDatetime(at.ToDatetime() + timedelta(seconds=later_s))
    return moved


async def test_a_match_on_demand_puts_packages_between_the_stops_of_a_route(assignment_api: AssignmentApi) -> None:
    ops = assignment_api.ops
    at = Timestamp(seconds=1_800_000_000)
    request = assignment_pb2.MatchRequest(at=at)
    way = {"pickup": place(12.98, 77.63), "drop": place(12.98, 77.64), "due_at": _moment(at, 900)}
    request.packages.append(package("on the way", **way))
    ahead = assignment_pb2.MatchStop(location=place(12.98, 77.65), due_at=_moment(at, 600))
    behind = assignment_pb2.MatchStop(location=place(12.98, 77.60), due_at=_moment(at, 600))
    request.partners.extend([partner("ahead", route=[ahead]), partner("behind", route=[behind])])
    (result,) = (await ops.ask(ops.assignments.Match, request)).results
    assert result.chosen.partner_id == "ahead"
    assert set(result.chosen.terms_s) == {"pickup_travel"}
    (other,) = result.alternatives
    assert other.partner_id == "behind"
    assert other.terms_s["detour"] > 60
    assert other.terms_s["lateness"] > 60
    request.partners[1].route[0].due_at.seconds = 10**15
    request.partners[0].route[0].location.latitude_deg = 91
    refusal = await ops.refused(ops.assignments.Match, request)
    assert refusal.fields == ("partners[0].route[0].location.latitude_deg",)
    request.partners[0].route[0].location.latitude_deg = 12
    refusal = await ops.refused(ops.assignments.Match, request)
    assert refusal.fields == ("partners[1].route[0].due_at",)

"""Matching rules of running cities: configured, listed, added as one file, and switched off where they are broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from lastmile.assignment.v1 import assignment_pb2, city_pb2, delivery_pb2
from lastmile.common.v1 import parcel_pb2

from libs.embedded.stack import EmbeddedServers
from services.assignment.matching.rules.registry import discovered
from tests.assignment_api import AssignmentApi, Caller, place, until
from tests.integration.services.assignment.conftest import city_proto
from tests.unit.services.assignment.matching.rules.new_rules import BROKEN, MONSOON, rule_file

pytestmark = pytest.mark.usefixtures("matcher")
Setting = city_pb2.RuleSetting
ASIDE = place(12.9800, 77.6100)


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def rules_of(ops: Caller) -> dict[str, city_pb2.MatchingRule]:
    found: dict[str, city_pb2.MatchingRule] = {}
    token = ""
    while True:
        request = city_pb2.ListMatchingRulesRequest(page_size=7, page_token=token)
        page = await ops.ask(ops.cities.ListMatchingRules, request)
        found |= {rule.name: rule for rule in page.rules}
        token = page.next_page_token
        if not token:
            return found


async def reason_of(ops: Caller, delivery_id: str, reason: str) -> assignment_pb2.Explanation:
    """The delivery's explanation, once a window has left it unassigned for this reason."""

    async def look() -> bool:
        return (await ops.get(delivery_id)).unassigned_reason == reason

    await until(look)
    return await ops.explanation(delivery_id)


async def test_every_rule_is_listed_with_its_reason_weight_parameters_and_description(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    rules = await rules_of(ops)
    assert list(rules) == sorted(discovered())
    rating = rules["rating"]
    assert (rating.reason, rating.weight, rating.required) == ("RATED_TOO_LOW", 1.0, False)
    assert dict(rating.parameters) == {"valuable_paise": 2e6, "rating_min": 3.5, "star_penalty_s": 60.0}
    assert rating.description.startswith("Rules out partners rated below `rating_min`")
    assert rules["lateness"].weight == 2.0
    assert rules["parcels"].required
    merchant = assignment_api.merchant(await ops.merchant())
    refusal = await merchant.refused(merchant.cities.ListMatchingRules, city_pb2.ListMatchingRulesRequest())
    assert refusal.code == "PERMISSION_DENIED"


async def test_a_running_city_takes_rules_up_and_gives_back_what_it_was_told(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    near, far = await ops.partner(city), await ops.partner(city, home=ASIDE, preferred_zones=["u4pr"])
    rules = {
        "pickup_travel": Setting(weight=0.0),
        "lateness": Setting(enabled=False),
        "outside_zones": Setting(weight=1.5, parameters={"penalty_s": 500}),
        "waiting": Setting(enabled=True, parameters={"patience_s": 60}),
    }
    speeds = [
        city_pb2.VehicleSpeed(vehicle=parcel_pb2.VEHICLE_MOTORCYCLE, speed_m_per_s=[0.5] * 24),
        city_pb2.VehicleSpeed(vehicle=parcel_pb2.VEHICLE_BICYCLE, speed_m_per_s=[4.0]),
    ]
    stored = await ops.set_policy(city, rules=rules, speeds=speeds)
    read = (await ops.ask(ops.cities.GetCity, city_pb2.GetCityRequest(code=city))).city
    assert read == stored
    assert dict(read.policy.rules.items()) == rules
    assert list(read.policy.speeds) == speeds
    assert not read.policy.rules["outside_zones"].HasField("enabled")

    async def explained() -> assignment_pb2.Explanation | None:
        said = await ops.explanation(await _offered(ops, city, merchant))
        return None if any("pickup_travel" in cost.terms_s for cost in (said.chosen, *said.alternatives)) else said

    said = await until(explained)
    # Nothing costs but preferred zones, and the far one is dearer for them.
    assert said.chosen.partner_id == near
    assert [dict(other.terms_s) for other in said.alternatives] == [{"outside_zones": 750.0}]
    await ops.set_policy(city, rules={"outside_zones": Setting(parameters={"penalty_s": 0})}, speeds=speeds)

    async def slow() -> assignment_pb2.Explanation | None:
        said = await ops.explanation(await _offered(ops, city, merchant))
        return said if said.alternatives and said.alternatives[0].terms_s.get("pickup_travel") else None

    said = await until(slow)
    (other,) = said.alternatives
    assert other.partner_id == far
    assert other.terms_s["pickup_travel"] == pytest.approx(other.pickup_distance_m / 0.5, abs=0.01)


async def _offered(ops: Caller, city: str, merchant: str) -> str:
    """A delivery that was offered to someone, and is then out of the way."""
    delivery_id = await ops.delivery(city, merchant)
    await ops.open_offer(delivery_id)
    await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=delivery_id))
    return delivery_id


@pytest.mark.parametrize(
    ("rules", "field", "said"),
    [
        ({"latenes": Setting()}, "rules['latenes']", "'latenes' is no rule; there are cash, declined"),
        (
            {"waiting": Setting(parameters={"patience": 3})},
            "rules['waiting'].parameters['patience']",
            "'patience' is no parameter; waiting has patience_s",
        ),
        (
            {"waiting": Setting(parameters={"patience_s": 90_000})},
            "rules['waiting'].parameters['patience_s']",
            "must be from 0 to 86400, is 90000",
        ),
        ({"volume": Setting(enabled=False)}, "rules['volume'].enabled", "no city can switch volume off"),
        ({"waiting": Setting(weight=float("nan"))}, "rules['waiting'].weight", ""),
        ({"waiting": Setting(weight=-1)}, "rules['waiting'].weight", ""),
        ({"waiting": Setting(weight=11)}, "rules['waiting'].weight", ""),
        (
            {"waiting": Setting(parameters={"patience_s": float("inf")})},
            "rules['waiting'].parameters['patience_s']",
            "",
        ),
    ],
)
async def test_what_no_rule_knows_is_refused_everywhere_by_field_value_and_what_exists(
    ops: Caller, rules: dict[str, Setting], field: str, said: str
) -> None:
    city = await ops.city()
    policy = city_pb2.MatchingPolicy(window_ms=50, window_deliveries_max=9, pickup_distance_m_max=900, offer_ttl_s=9)
    for name, setting in rules.items():
        policy.rules[name].CopyFrom(setting)
    proto = city_proto()
    proto.policy.CopyFrom(policy)
    for method, request, prefix in (
        (ops.cities.UpdateCityPolicy, city_pb2.UpdateCityPolicyRequest(code=city, policy=policy), "policy"),
        (ops.cities.CreateCity, city_pb2.CreateCityRequest(city=proto), "city.policy"),
        (ops.assignments.Match, assignment_pb2.MatchRequest(policy=policy), "policy"),
    ):
        refusal = await ops.refused(method, request)
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", (f"{prefix}.{field}",))
        assert said in refusal.message
    assert not (await ops.ask(ops.cities.GetCity, city_pb2.GetCityRequest(code=city))).city.policy.rules


async def test_speeds_that_make_no_day_are_refused(ops: Caller) -> None:
    city, car = await ops.city(), parcel_pb2.VEHICLE_CAR
    for speeds, field in (
        ([{"vehicle": car, "speed_m_per_s": [5.0] * 23}], "policy.speeds[0].speed_m_per_s"),
        ([{"vehicle": car, "speed_m_per_s": [0.0]}], "policy.speeds[0].speed_m_per_s[0]"),
        ([{"vehicle": car, "speed_m_per_s": [5.0]}] * 2, "policy.speeds[1].vehicle"),
        ([{"speed_m_per_s": [5.0]}], "policy.speeds[0].vehicle"),
    ):
        policy = city_pb2.MatchingPolicy(
            window_ms=50, window_deliveries_max=9, pickup_distance_m_max=900, offer_ttl_s=9
        )
        policy.speeds.extend(city_pb2.VehicleSpeed(**speed) for speed in speeds)
        request = city_pb2.UpdateCityPolicyRequest(code=city, policy=policy)
        refusal = await ops.refused(ops.cities.UpdateCityPolicy, request)
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", (field,))


@pytest.fixture
def monsoon(tmp_path: Path) -> Iterator[None]:
    with rule_file(tmp_path, "monsoon", MONSOON):
        yield


@pytest.mark.usefixtures("monsoon")
async def test_a_new_rule_of_one_file_takes_part_in_matching_explanation_and_configuration(ops: Caller) -> None:
    listed = (await rules_of(ops))["monsoon"]
    assert (listed.reason, listed.weight, dict(listed.parameters)) == ("TOO_WET", 2.0, {"puddle_s": 7, "rains": 1})
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city)
    delivery_id = await ops.delivery(city, merchant)
    said = await reason_of(ops, delivery_id, "TOO_WET")
    assert (said.outcome, dict(said.partners_lost)) == ("NO_FEASIBLE_PARTNER", {"TOO_WET": 1})
    await ops.set_policy(city, rules={"monsoon": Setting(weight=3.0, parameters={"rains": 0, "puddle_s": 11})})
    await ops.open_offer(delivery_id)
    assert (await ops.explanation(delivery_id)).chosen.terms_s["monsoon"] == 33.0
    refusal = await ops.refused(
        ops.assignments.Match,
        assignment_pb2.MatchRequest(
            policy=city_pb2.MatchingPolicy(
                window_ms=50, window_deliveries_max=9, pickup_distance_m_max=900, offer_ttl_s=9,
                rules={"monsoon": Setting(parameters={"wind": 1})},
            )
        ),
    )  # fmt: skip
    assert "monsoon has puddle_s, rains" in refusal.message


@pytest.mark.parametrize(
    ("body", "said", "at_a_pair"),
    [
        ("raise LookupError('no weather today')", "raised LookupError('no weather today')", False),
        ("return np.zeros((2, 2))", "returned (2, 2) instead of an array of shape (1,)", False),
        ("return np.full(len(edges), np.nan)", "returned nan, not a cost from 0 to 1e+06 s", True),
    ],
)
async def test_a_broken_rule_is_named_and_the_window_completes_without_it(
    ops: Caller, tmp_path: Path, body: str, said: str, at_a_pair: bool
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    with rule_file(tmp_path, "broken", BROKEN.replace("{body}", body)):
        delivery_id = await ops.delivery(city, merchant)
        offer = await ops.open_offer(delivery_id)
        listed = await ops.ask(ops.assignments.ListWindows, assignment_pb2.ListWindowsRequest(city_code=city))
        window = next(window for window in listed.windows if window.id == offer.window_id)
        (fault,) = window.rule_faults
        assert (fault.rule, window.assigned) == ("broken", 1)
        assert said in fault.problem
        assert (fault.package_id, fault.partner_id) == ((delivery_id, partner_id) if at_a_pair else ("", ""))
        request = assignment_pb2.MatchRequest()
        request.packages.add(
            id="parcel", pickup=ASIDE, drop=ASIDE, weight_g=1,
            dimensions=parcel_pb2.Dimensions(length_mm=1, width_mm=1, height_mm=1),
        )  # fmt: skip
        request.partners.add(id="asha", location=ASIDE, vehicle=parcel_pb2.VEHICLE_CAR)
        limits = {"parcels_max": 1, "weight_g_max": 9, "volume_cm3_max": 9, "side_mm_max": 9}
        for name, value in limits.items():
            setattr(request.partners[0].capacity_left, name, value)
        answer = await ops.ask(ops.assignments.Match, request)
        assert answer.assigned == 1
        assert [fault.rule for fault in answer.rule_faults] == ["broken"]
        assert {answer.rule_faults[0].package_id} == {"parcel" if at_a_pair else ""}


async def test_a_stored_setting_that_this_matcher_cannot_use_is_named_and_the_window_completes(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city)
    stored: dict[str, Any] = {"tide": {"enabled": True, "weight": None, "parameters": {}}}
    connection = await asyncpg.connect(embedded_servers.dsn())
    await connection.execute("UPDATE assignment.cities SET rules = $2 WHERE code = $1", city, json.dumps(stored))
    await connection.close()

    async def told() -> str:
        await ops.open_offer(await ops.delivery(city, merchant))
        listed = await ops.ask(ops.assignments.ListWindows, assignment_pb2.ListWindowsRequest(city_code=city))
        return "".join(fault.problem for window in listed.windows for fault in window.rule_faults)

    assert "'tide' is no rule; there are cash" in await until(told)

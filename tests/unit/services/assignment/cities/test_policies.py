"""A city's policy as the matching core takes it, and what is wrong with one."""

from datetime import UTC, datetime

import numpy as np
import pytest

from services.assignment.cities.city import MatchingPolicy, RuleSetting, VehicleSpeed
from services.assignment.cities.policies import policy_of, travel_of, violations_of
from services.assignment.matching.problem import RuleConfig
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.travel import HOURS, SPEED_M_PER_S, VEHICLES

CAR = VEHICLES.index("car")


def test_the_zone_penalty_is_a_parameter_unless_the_rules_say_otherwise() -> None:
    def penalty_s(**rules: RuleSetting) -> RuleConfig:
        return policy_of(MatchingPolicy(zone_penalty_s=120, rules=rules)).rules["outside_zones"]

    assert penalty_s() == RuleConfig(parameters={"penalty_s": 120.0})
    assert penalty_s(outside_zones=RuleSetting(weight=2.0)) == RuleConfig(weight=2.0, parameters={"penalty_s": 120.0})
    assert penalty_s(outside_zones=RuleSetting(parameters={"penalty_s": 7.0})).parameters["penalty_s"] == 7.0
    assert not penalty_s(outside_zones=RuleSetting(enabled=False)).enabled


def test_a_default_policy_uses_every_rule_as_it_ships() -> None:
    policy = policy_of(MatchingPolicy())
    assert policy.pickup_distance_m_max == 8_000
    assert all(weighed.weight == type(weighed.rule).weight for weighed in rule_book(policy).rules)
    assert violations_of(MatchingPolicy(), "policy") == []


@pytest.mark.parametrize(
    ("zone", "month", "offset_h"),
    [
        ("Asia/Kolkata", 1, 5.5),
        ("", 1, 0),
        ("Europe/Paris", 1, 1),
        ("Europe/Paris", 7, 2),
        ("America/St_Johns", 1, -3.5),
    ],
)
def test_speeds_are_read_by_the_citys_own_clock(zone: str, month: int, offset_h: float) -> None:
    by_hour = tuple(float(hour + 1) for hour in range(HOURS))
    policy = MatchingPolicy(speeds=(VehicleSpeed("car", by_hour), VehicleSpeed("bicycle", (2.5,))))
    noon = datetime(2027, month, 15, 12, tzinfo=UTC)
    travel = travel_of(policy, zone, noon)
    assert travel.utc_offset_s == offset_h * 3_600
    local_hour = int(12 + offset_h // 1)
    assert travel.time_s(np.array([1_000.0]), np.array([CAR]), noon.timestamp()) == pytest.approx(
        1_000 / (local_hour + 1)
    )
    assert travel.speed_m_per_s[VEHICLES.index("bicycle")].tolist() == [2.5] * HOURS
    assert travel.speed_m_per_s[VEHICLES.index("van")].tolist() == [SPEED_M_PER_S[VEHICLES.index("van")]] * HOURS


def test_everything_wrong_is_named_under_its_path() -> None:
    policy = MatchingPolicy(
        rules={"tide": RuleSetting(), "cash": RuleSetting(parameters={"x": 1.0}), "reach": RuleSetting(enabled=False)},
        speeds=(VehicleSpeed("car", (5.0,)), VehicleSpeed("van", (5.0,)), VehicleSpeed("car", (6.0,))),
    )
    assert [violation.field for violation in violations_of(policy, "city.policy")] == [
        "city.policy.rules['cash'].parameters['x']",
        "city.policy.rules['reach'].enabled",
        "city.policy.rules['tide']",
        "city.policy.speeds[2].vehicle",
    ]

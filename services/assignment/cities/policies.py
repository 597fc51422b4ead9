"""A city's policy as the matching core takes it: the one translation, for windows and for matching on demand."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from libs.grpc_server.errors import FieldViolation
from services.assignment.cities.city import MatchingPolicy, RuleSetting
from services.assignment.matching.problem import Policy, RuleConfig
from services.assignment.matching.rules.registry import config_problems
from services.assignment.matching.rules.zones import OutsideZones
from services.assignment.matching.travel import HOURS, SPEED_M_PER_S, VEHICLES, Travel, steady


def policy_of(policy: MatchingPolicy) -> Policy:
    """Return what a match may look like and how its rules weigh."""
    return Policy(pickup_distance_m_max=policy.pickup_distance_m_max, rules=_configs(policy))


def travel_of(policy: MatchingPolicy, time_zone: str, at: datetime) -> Travel:
    """Return how long ways take: by the policy's speeds, at the hours of the time zone; "" is UTC."""
    speeds = steady(SPEED_M_PER_S)
    for speed in policy.speeds:
        given = np.array(speed.speed_m_per_s, dtype=float)
        speeds[VEHICLES.index(speed.vehicle)] = given if len(given) == HOURS else given[0]
    offset = at.astimezone(ZoneInfo(time_zone or "UTC")).utcoffset()
    return Travel(speed_m_per_s=speeds, utc_offset_s=offset.total_seconds() if offset else 0.0)


def violations_of(policy: MatchingPolicy, prefix: str) -> list[FieldViolation]:
    """Return what is wrong with a policy's rules and speeds; `prefix` starts the field paths."""
    found = [
        FieldViolation(f"{prefix}.{problem.field}", problem.problem, "matching_rule.setting")
        for _, problem in config_problems(_configs(policy))
    ]
    seen: set[str] = set()
    for place, speed in enumerate(policy.speeds):
        if speed.vehicle in seen:
            said = f"{speed.vehicle} stands twice"
            found.append(FieldViolation(f"{prefix}.speeds[{place}].vehicle", said, "vehicle_speed.unique"))
        seen.add(speed.vehicle)
    return found


def _configs(policy: MatchingPolicy) -> Mapping[str, RuleConfig]:
    configs = {name: _config(setting) for name, setting in policy.rules.items()}
    zones = configs.get(OutsideZones.name, RuleConfig())
    penalty = {"penalty_s": float(policy.zone_penalty_s)}
    configs[OutsideZones.name] = RuleConfig(zones.enabled, zones.weight, penalty | dict(zones.parameters))
    return configs


def _config(setting: RuleSetting) -> RuleConfig:
    return RuleConfig(setting.enabled is not False, setting.weight, setting.parameters)

"""Cities between protobuf and plain values."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from lastmile.assignment.v1 import city_pb2
from lastmile.common.v1 import geo_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.cities.city import City, MatchingPolicy, RuleSetting, VehicleSpeed
from services.assignment.deliveries.codec import VEHICLE_NUMBERS, VEHICLES
from services.assignment.events import event_text, timestamp
from services.assignment.matching.rules.base import Rule
from services.assignment.matching.rules.registry import description_of, is_required, parameters_of


def city_from(proto: city_pb2.City, now: datetime) -> City:
    """Return a new city, with the default policy where none is given."""
    return City(
        code=proto.code,
        name=proto.name,
        time_zone=proto.time_zone,
        center_lat=proto.center.latitude_deg,
        center_lng=proto.center.longitude_deg,
        radius_m=proto.radius_m,
        policy=policy_from(proto.policy) if proto.HasField("policy") else MatchingPolicy(),
        version=1,
        created_at=now,
    )


def policy_from(proto: city_pb2.MatchingPolicy) -> MatchingPolicy:
    """Return a policy as it was given."""
    return MatchingPolicy(
        window_ms=proto.window_ms,
        window_deliveries_max=proto.window_deliveries_max,
        pickup_distance_m_max=proto.pickup_distance_m_max,
        offer_ttl_s=proto.offer_ttl_s,
        dispatch_horizon_s=proto.dispatch_horizon_s,
        zone_penalty_s=proto.zone_penalty_s,
        rules={name: _setting_from(setting) for name, setting in proto.rules.items()},
        speeds=tuple(VehicleSpeed(VEHICLES[speed.vehicle], tuple(speed.speed_m_per_s)) for speed in proto.speeds),
    )


def policy_to(policy: MatchingPolicy) -> city_pb2.MatchingPolicy:
    """Return a policy as its callers see it."""
    numbers = asdict(policy)
    del numbers["rules"], numbers["speeds"]
    proto = city_pb2.MatchingPolicy(**numbers)
    for name, setting in policy.rules.items():
        # None is absent.
        given = city_pb2.RuleSetting(enabled=setting.enabled, weight=setting.weight, parameters=setting.parameters)
        proto.rules[name].CopyFrom(given)
    for speed in policy.speeds:
        proto.speeds.add(vehicle=VEHICLE_NUMBERS[speed.vehicle], speed_m_per_s=speed.speed_m_per_s)
    return proto


def rule_to(kind: type[Rule]) -> city_pb2.MatchingRule:
    """Return a rule as it ships."""
    return city_pb2.MatchingRule(
        name=kind.name,
        reason=kind.reason or "",
        weight=kind.weight,
        parameters=parameters_of(kind),
        description=description_of(kind),
        rank=kind.rank,
        required=is_required(kind),
    )


def fault_to(row: Mapping[str, str]) -> city_pb2.RuleFault:
    """Return a fault of a rule, as it is stored, as its callers see it."""
    return city_pb2.RuleFault(**row)


def city_to(city: City) -> city_pb2.City:
    """Return the city as its callers see it."""
    return city_pb2.City(
        code=city.code,
        name=city.name,
        time_zone=city.time_zone,
        center=geo_pb2.Location(latitude_deg=city.center_lat, longitude_deg=city.center_lng),
        radius_m=city.radius_m,
        policy=policy_to(city.policy),
        created_at=timestamp(city.created_at),
    )


def changed_event(city: City, at: datetime, traceparent: str) -> str:
    """Return the event of a city's opening or of its new policy."""
    return event_text(
        event_pb2.Event(city_changed=event_pb2.CityChanged(city=city_to(city))),
        subject=f"cities/{city.code}",
        city_code=city.code,
        sequence=city.version,
        at=at,
        traceparent=traceparent,
    )


def _setting_from(proto: city_pb2.RuleSetting) -> RuleSetting:
    return RuleSetting(
        enabled=proto.enabled if proto.HasField("enabled") else None,
        weight=proto.weight if proto.HasField("weight") else None,
        parameters=dict(proto.parameters),
    )

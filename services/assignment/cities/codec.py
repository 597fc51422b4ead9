"""Cities between protobuf and plain values."""

from dataclasses import asdict
from datetime import datetime

from lastmile.assignment.v1 import city_pb2
from lastmile.common.v1 import geo_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.cities.city import City, MatchingPolicy
from services.assignment.events import event_text, timestamp


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
    )


def city_to(city: City) -> city_pb2.City:
    """Return the city as its callers see it."""
    return city_pb2.City(
        code=city.code,
        name=city.name,
        time_zone=city.time_zone,
        center=geo_pb2.Location(latitude_deg=city.center_lat, longitude_deg=city.center_lng),
        radius_m=city.radius_m,
        policy=city_pb2.MatchingPolicy(**asdict(city.policy)),
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

"""What must hold of a city beyond its proto's rules, and when two are the same."""

import zoneinfo
from dataclasses import replace

from libs.grpc_server.errors import FieldViolation
from services.assignment.cities.city import City

_TIME_ZONES = zoneinfo.available_timezones()


def violations_of(city: City) -> list[FieldViolation]:
    """Return what is wrong with a new city."""
    if city.time_zone in _TIME_ZONES:
        return []
    return [FieldViolation("city.time_zone", "is not an IANA time zone, such as Asia/Kolkata", "time_zone.known")]


def same_content(one: City, other: City) -> bool:
    """Tell whether two cities say the same, whenever they were made and however often they changed."""
    return replace(one, version=other.version, created_at=other.created_at) == other

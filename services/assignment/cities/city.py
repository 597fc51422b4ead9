"""What a city is: a service area and a matching policy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class RuleSetting:
    """How a city uses a matching rule; what is None or not named is the rule's own default."""

    enabled: bool | None = None
    weight: float | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VehicleSpeed:
    """How fast a vehicle is: one speed, or one for each hour of the local day."""

    vehicle: str
    speed_m_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MatchingPolicy:
    """How a city's windows close and what a match may look like; the proto's comments give each field's meaning."""

    window_ms: int = 1_000
    window_deliveries_max: int = 500
    pickup_distance_m_max: int = 8_000
    offer_ttl_s: int = 60
    dispatch_horizon_s: int = 1_800
    zone_penalty_s: int = 300
    rules: Mapping[str, RuleSetting] = field(default_factory=dict)
    speeds: tuple[VehicleSpeed, ...] = ()


@dataclass(frozen=True, slots=True)
class City:
    """A city; its service area is the circle of `radius_m` round its center."""

    code: str
    name: str
    time_zone: str
    center_lat: float
    center_lng: float
    radius_m: int
    policy: MatchingPolicy
    version: int
    created_at: datetime

    def distance_from_center_m(self, lat: float, lng: float) -> float:
        """Return the great-circle distance in metres from the center (haversine)."""
        lat_1, lat_2 = math.radians(self.center_lat), math.radians(lat)
        half_chord = (
            math.sin((lat_2 - lat_1) / 2) ** 2
            + math.cos(lat_1) * math.cos(lat_2) * math.sin(math.radians(lng - self.center_lng) / 2) ** 2
        )
        return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, half_chord)))

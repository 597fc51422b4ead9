"""How long a way takes: by vehicle and hour of the local day."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.assignment.matching.geography import Floats, Ints, Metric, distance_m

VEHICLES = ("on_foot", "bicycle", "motorcycle", "three_wheeler", "car", "van")
# Door to door in a city, stops and parking included.
SPEED_M_PER_S = np.array([1.3, 3.5, 6.0, 5.5, 5.5, 5.0])
HOURS = 24
_INDEX = {name: index for index, name in enumerate(VEHICLES)}


def vehicle_mask(names: Sequence[str]) -> int:
    """Return vehicles as bits; none means any."""
    return sum(1 << _INDEX[name] for name in names) or (1 << len(VEHICLES)) - 1


def steady(speed_m_per_s: Floats) -> Floats:
    """Return (vehicles, 24) speeds that are the same at every hour."""
    return np.repeat(np.asarray(speed_m_per_s, dtype=float)[:, None], HOURS, axis=1)


@dataclass(frozen=True)
class Travel:
    """Distances and times between places.

    speed_m_per_s: (vehicles, 24), by the local hour at which a leg starts. utc_offset_s: local time less UTC.
    round_up_s: every leg's time is rounded up to a multiple of it; 0 keeps it exact.
    """

    metric: Metric = Metric.HAVERSINE
    speed_m_per_s: Floats = field(default_factory=lambda: steady(SPEED_M_PER_S))
    utc_offset_s: float = 0.0
    round_up_s: float = 0.0

    def __post_init__(self) -> None:
        if self.speed_m_per_s.ndim != 2 or self.speed_m_per_s.shape[1] != HOURS:
            raise ValueError(f"speed_m_per_s has shape {self.speed_m_per_s.shape}, must have (vehicles, {HOURS})")
        if not (np.isfinite(self.speed_m_per_s).all() and (self.speed_m_per_s > 0).all()):
            raise ValueError("speed_m_per_s must be finite and above 0 for every vehicle and hour")

    def distance_m(self, one: Floats, other: Floats) -> Floats:
        """Return metres between places of shapes (..., 2), broadcast against each other."""
        return distance_m(self.metric, one, other)

    def time_s(self, distance: Floats, vehicle: Ints, at_s: Floats | float) -> Floats:
        """Return the seconds that legs of `distance` metres take when they start at `at_s`; all broadcast."""
        exact = distance / self.speed_at_m_per_s(vehicle, at_s)
        if not self.round_up_s:
            return exact
        # A leg that is a whole number of steps up to rounding error stays that number.
        rounded: Floats = np.ceil(exact / self.round_up_s - 1e-9) * self.round_up_s
        return rounded

    def speed_at_m_per_s(self, vehicle: Ints, at_s: Floats | float) -> Floats:
        """Return the speeds of legs that start at `at_s`; broadcast."""
        hour = ((np.asarray(at_s) + self.utc_offset_s) // 3600 % HOURS).astype(np.int64)
        speed: Floats = self.speed_m_per_s[vehicle, hour]
        return speed

    def fastest_m_per_s(self, from_s: float, to_s: float) -> Floats:
        """Return (vehicles,) speeds that legs starting in a span of time never exceed.

        distance / fastest is a lower bound of their time_s.
        """
        first, last = ((at_s + self.utc_offset_s) // 3600 for at_s in (from_s, to_s))
        hours = np.arange(first, min(last, first + HOURS - 1) + 1) % HOURS
        fastest: Floats = self.speed_m_per_s[:, hours.astype(np.int64)].max(axis=1)
        return fastest

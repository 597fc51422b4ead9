"""A day's orders and partners as arrays, and how long things take: what a rolling horizon decides about.

Times are minutes from the day's own zero. A place is two numbers: x and y in metres, or latitude and longitude in
degrees.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EARTH_RADIUS_M = 6_371_008.8
NO_LIMIT = np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Day:
    """n orders, p pickups, m partners. Whoever decides at t may look only at orders placed and partners on by t.

    due_min: when lateness begins. latest_min: a delivery after it does not count.
    """

    haversine: bool
    speed_m_per_min: float
    round_travel_to_min: bool
    pickup_service_min: float
    dropoff_service_min: float
    reposition: bool
    pickup_place: Floats
    order_pickup: Ints
    drop_place: Floats
    placed_min: Floats
    ready_min: Floats
    due_min: Floats
    latest_min: Floats
    weight_g: Ints
    volume_cm3: Ints
    start_place: Floats
    on_min: Floats
    off_min: Floats
    parcels_max: Ints
    weight_g_max: Ints
    volume_cm3_max: Ints

    def distance_m(self, one: Floats, other: Floats) -> Floats:
        """Return metres between places of shapes (..., 2), broadcast against each other."""
        if not self.haversine:
            apart = one - other
            planar: Floats = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
            return planar
        phi_1, phi_2 = np.radians(one[..., 0]), np.radians(other[..., 0])
        chord = np.sin((phi_2 - phi_1) / 2) ** 2
        chord = chord + np.cos(phi_1) * np.cos(phi_2) * np.sin(np.radians(other[..., 1] - one[..., 1]) / 2) ** 2
        result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
        return result

    def travel_min(self, one: Floats, other: Floats) -> Floats:
        """Return the minutes of legs between places, each leg rounded up where the day says so."""
        exact = self.distance_m(one, other) / self.speed_m_per_min
        minutes: Floats = np.ceil(exact) if self.round_travel_to_min else exact
        return minutes

    @cached_property
    def ride_min(self) -> Floats:
        """Return (n,) minutes from each order's pickup to its drop."""
        return self.travel_min(self.pickup_place[self.order_pickup], self.drop_place)

    @cached_property
    def soonest_min(self) -> Floats:
        """Return (n,) when each order would be dropped if a partner were there in time."""
        half = self.pickup_service_min / 2
        goods = np.maximum(self.placed_min + half, self.ready_min)
        soonest: Floats = goods + half + self.ride_min + self.dropoff_service_min / 2
        return soonest

    @cached_property
    def capacitated(self) -> bool:
        """Say whether any partner has a limit at all."""
        limits = (self.parcels_max, self.weight_g_max, self.volume_cm3_max)
        return any(bool((limit < NO_LIMIT).any()) for limit in limits)

    def flat(self, places: Floats) -> Floats:
        """Return places in metres in a plane, near enough to find neighbours with."""
        if not self.haversine:
            return places
        middle = np.radians(self.pickup_place[:, 0].mean()) if len(self.pickup_place) else 0.0
        scale = EARTH_RADIUS_M * np.pi / 180
        flat: Floats = places * np.array([scale, scale * np.cos(middle)])
        return flat

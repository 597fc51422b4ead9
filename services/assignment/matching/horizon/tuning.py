"""What the shipped policy weighs, in minutes of click-to-door time; found on generated and converted days."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Every number of the shipped policy.

    window_min, urgent_min: see Policy. ahead_min: orders whose nearest partner leaves later than this are not planned
    yet, so that nobody is kept from work by what is far off.
    late_weight, late_growth: a minute beyond the due time costs 1 + late_weight, and with each minute 2 x late_growth
    more. undelivered, undelivered_least: what an order costs that is never delivered, beyond what makes it late by
    itself; and what at least is lost with it, however late it is already.
    left_out_min, left_out_at, left_out_pressure: how long an order that is left out is expected to wait: left_out_min
    times each of left_out_at, equally likely; left_out_pressure makes it longer as the pressure exceeds 1.
    idle_price, price, price_max, price_from: what a partner's minute is worth: idle_price, and `price` for each unit of
    pressure beyond price_from. trip_share: how much it counts that an order's trip is longer or shorter than others.
    horizon_min, recent_min: pressure is work over working time in the coming horizon_min, with orders expected at the
    rate of the last recent_min.
    bundle_from: the pressure from which bundles are sought. bundle_max, bundle_rounds: the most orders in a bundle
    where nothing else limits it, and how often bundles are joined. bundle_gap_min: orders that are ready further apart
    are not bundled. neighbours: how many bundles each is tried with. parcel_rounds: the rounds where partners have a
    capacity, which says that they are meant to carry many.
    calm, calm_units, calm_min: below this pressure, and with more open orders than this, calm_min takes the place of
    ahead_min; it saves time and changes little.
    early_min: where there is no pressure, whoever must leave so soon after the next moment is sent at once: it costs a
    minute of somebody's idle time, and no order loses its partner to another at the last moment.
    partners_near: how many idle and how many busy partners a pickup is tried with in a large city.
    reposition_*: an idle partner with that much time on duty left moves, no further than far_min, where the expected
    way to the next order falls by gain_min, judged by the orders of the last recent_min; and only as long as idle_max
    partners and the pickups_max likeliest pickups are to be looked at, moves_max at a time.
    """

    window_min: float = 1.0
    urgent_min: float = math.inf
    ahead_min: float = 20.0
    late_weight: float = 1.0
    late_growth: float = 0.05
    undelivered: float = 100.0
    undelivered_least: float = 20.0
    left_out_min: float = 60.0
    left_out_at: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    left_out_pressure: float = 1.0
    idle_price: float = 0.01
    price: float = 2.0
    price_max: float = 10.0
    price_from: float = 1.0
    trip_share: float = 4.0
    horizon_min: float = 40.0
    recent_min: float = 30.0
    bundle_from: float = 0.7
    bundle_max: int = 2
    bundle_rounds: int = 3
    bundle_gap_min: float = 20.0
    neighbours: int = 5
    parcel_rounds: int = 5
    calm: float = 0.6
    calm_units: int = 60
    calm_min: float = 15.0
    early_min: float = 1.0
    partners_near: int = 20
    reposition_gain_min: float = 0.5
    reposition_far_min: float = 12.0
    reposition_recent_min: float = 60.0
    reposition_on_duty_min: float = 20.0
    reposition_idle_max: int = 40
    reposition_pickups_max: int = 60
    reposition_moves_max: int = 2

"""Sending idle partners, where that is allowed, to pickups that are likely to need one and have none near.

Each move is the one that shortens the expected way from the nearest idle partner to the next order's pickup most; the
next order's pickup is as likely as the last hour's orders say (the p-median of Hakimi 1964, doi:10.1287/opre.12.3.450,
by single exchanges).
"""

import numpy as np

from services.assignment.matching.horizon.day import Ints
from services.assignment.matching.horizon.situation import Move, Situation
from services.assignment.matching.horizon.tuning import Tuning


def repositioned(seen: Situation, tuning: Tuning, needed: Ints) -> list[Move]:
    """Return the moves worth making now; `needed` are partners who have something to do or are planned for it."""
    day, now = seen.day, seen.now_min
    idle = seen.partners[seen.free_min[seen.partners] <= now]
    idle = idle[day.off_min[idle] > now + tuning.reposition_on_duty_min]
    idle = np.setdiff1d(idle, needed)
    recent = (day.placed_min <= now) & (day.placed_min > now - tuning.reposition_recent_min)
    weight = np.bincount(day.order_pickup[recent], minlength=len(day.pickup_place)).astype(float)
    if not 0 < len(idle) <= tuning.reposition_idle_max or not weight.any():
        return []
    likely = np.argsort(-weight, kind="stable")[: tuning.reposition_pickups_max]
    likely = likely[weight[likely] > 0]
    weight = weight[likely] / weight[likely].sum()
    ways = day.travel_min(seen.place[idle][:, None], day.pickup_place[likely][None, :])
    between = day.travel_min(day.pickup_place[likely][:, None], day.pickup_place[likely][None, :])
    moves: list[Move] = []
    moved = np.zeros(len(idle), dtype=bool)
    for _ in range(tuning.reposition_moves_max):
        order = np.sort(ways, axis=0)
        nearest = order[0]
        second = order[1] if len(idle) > 1 else np.full(len(likely), tuning.reposition_far_min)
        others = np.where(ways == nearest, second, nearest)
        after = np.minimum(others[:, None, :], between[None, :, :])
        gain = ((nearest - after) * weight).sum(axis=2)
        gain[(ways > tuning.reposition_far_min) | moved[:, None]] = -np.inf
        one, target = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[one, target] < tuning.reposition_gain_min:
            break
        moves.append(Move(int(idle[one]), int(likely[target])))
        # On its way it is no longer idle.
        ways[one], moved[one] = between[target], True
    return moves

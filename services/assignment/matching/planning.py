"""Where matched packages go in their partners' routes: one after another, cheapest first, between the stops there are.

Every stop has a rank, and a route is its stops in the order of their ranks. A new stop gets a rank between those of its
neighbours, so that no other stop ever changes its place: routes are extended, never reshuffled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.insertion import insertions
from services.assignment.matching.problem import Packages, Problem
from services.assignment.matching.routes import Routes

# Two stops whose ranks are closer than this have no room for another one between them: it goes to the end.
RANK_STEP_MIN = 1e-6
_STOPS_MAX = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Ranks:
    """first, last: (s,) the ranks of each row of Routes: two different ones where a row stands for several visits."""

    first: Floats
    last: Floats

    @classmethod
    def counted(cls, routes: Routes) -> "Ranks":
        """Return ranks of routes that have none yet: 1, 2, 3 and so on."""
        rank = np.arange(1.0, len(routes.place) + 1)
        return cls(rank, rank)


@dataclass(frozen=True)
class Plan:
    """pickup_rank, drop_rank: (n,) each package's, NaN where unassigned. routes, ranks: those that came of it."""

    pickup_rank: Floats
    drop_rank: Floats
    routes: Routes
    ranks: Ranks


@dataclass(frozen=True)
class _New:
    """New stops of one partner: the row that they come before, whose they are, and their ranks."""

    row: int
    partner: int
    packages: Ints
    ranks: Floats
    picks: bool


def planned(
    problem: Problem,
    ranks: Ranks,
    partner: Ints,
    cost_s: Floats,
    units: Sequence[Ints] | None = None,
    members: Packages | None = None,
) -> Plan:
    """Put what was matched into the routes; partner: (n,) or UNASSIGNED, cost_s: (n,), of the problem's packages.

    Where those are bundles, `units` names the packages of each, in the order of their drops, as rows of `members`.
    What is left of the partners' capacity must count the stops of the routes already: new ones load nothing.
    """
    members = problem.packages if members is None else members
    units = [np.array([row]) for row in range(len(problem.packages))] if units is None else units
    pickup_rank, drop_rank = np.full(len(members), np.nan), np.full(len(members), np.nan)
    routes = problem.partners.routes
    wide = replace(problem.policy, route_stops_max=_STOPS_MAX)
    for rows in _rounds(partner, cost_s):
        now = replace(problem, policy=wide, partners=replace(problem.partners, routes=routes))
        found = insertions(now, rows, partner[rows])
        new: list[_New] = []
        for place, row in enumerate(rows):
            j, mine = int(partner[row]), units[row]
            at = (int(found.pickup_after[place]), int(found.drop_after[place]))
            start, end = int(routes.offsets[j]), int(routes.offsets[j + 1])
            (before, picked), (after, dropped) = _between(ranks, start, end, at, len(mine))
            pickup_rank[mine], drop_rank[mine] = picked, dropped
            new += [_New(before, j, mine, picked, True), _New(after, j, mine, dropped, False)]
        routes, ranks = _extended(routes, ranks, members, new)
    return Plan(pickup_rank, drop_rank, routes, ranks)


def _rounds(partner: Ints, cost_s: Floats) -> list[Ints]:
    """Return the matched packages in rounds: in each, the cheapest one that is left of each partner."""
    matched = np.flatnonzero(partner != UNASSIGNED)
    order = matched[np.lexsort((matched, cost_s[matched], partner[matched]))]
    starts = np.flatnonzero(np.diff(partner[order], prepend=UNASSIGNED))
    turn = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return [order[turn == place] for place in range(int(turn.max(initial=-1)) + 1)]


def _between(
    ranks: Ranks, start: int, end: int, at: tuple[int, int], count: int
) -> tuple[tuple[int, Floats], tuple[int, Floats]]:
    """Return for `count` pickups and as many drops the row that they come before, and their ranks."""
    before, after = start + at[0], start + at[1]
    if before == after:
        both = _spread(ranks, start, end, before, 2 * count)
        picked, dropped = (None, None) if both is None else (both[:count], both[count:])
    else:
        picked, dropped = _spread(ranks, start, end, before, count), _spread(ranks, start, end, after, count)
    if picked is None or dropped is None:
        last = ranks.last[end - 1]
        return (end, last + np.arange(1.0, count + 1)), (end, last + np.arange(count + 1.0, 2 * count + 1))
    return (before, picked), (after, dropped)


def _spread(ranks: Ranks, start: int, end: int, row: int, count: int) -> Floats | None:
    """Return `count` rising ranks before a row of the route and after the one before it; None without room."""
    steps: Floats = np.arange(1.0, count + 1)
    if start == end:
        return steps
    if row == end:
        return steps + float(ranks.last[end - 1])
    if row == start:
        return steps - count - 1 + float(ranks.first[start])
    low, high = float(ranks.last[row - 1]), float(ranks.first[row])
    step = (high - low) / (count + 1)
    return steps * step + low if step >= RANK_STEP_MIN else None


def _extended(routes: Routes, ranks: Ranks, packages: Packages, new: Sequence[_New]) -> tuple[Routes, Ranks]:
    """Return the routes with new stops; a partner's pickups stand in `new` before its drops."""
    if not new:
        return routes, ranks
    rows = np.repeat([stop.row for stop in new], [len(stop.packages) for stop in new])
    picks = np.repeat([stop.picks for stop in new], [len(stop.packages) for stop in new])
    owner = np.repeat([stop.partner for stop in new], [len(stop.packages) for stop in new])
    whose = np.concatenate([stop.packages for stop in new])
    rank = np.concatenate([stop.ranks for stop in new])
    # Empty routes begin at the same row: by partner first, and then as they stand.
    order = np.lexsort((np.arange(len(rows)), owner))
    rows, picks, owner, whose, rank = rows[order], picks[order], owner[order], whose[order], rank[order]
    nothing = np.zeros(len(rows), dtype=np.int64)
    values = {
        "place": np.where(picks[:, None], packages.pickup[whose], packages.drop[whose]),
        "pickup": picks.astype(np.int64),
        "service_s": np.where(picks, packages.pickup_service_s[whose], packages.drop_service_s[whose]),
        "ready_at_s": np.where(picks, packages.ready_at_s[whose], -np.inf),
        "due_at_s": np.where(picks, np.inf, packages.due_at_s[whose]),
        "parcels": nothing,
        "weight_g": nothing,
        "volume_cm3": nothing,
    }
    columns = {name: np.insert(getattr(routes, name), rows, value, axis=0) for name, value in values.items()}
    added = np.bincount(owner, minlength=len(routes))
    offsets = routes.offsets + np.concatenate([[0], np.cumsum(added)])
    return (
        Routes(offsets=offsets.astype(np.int64), **columns),
        Ranks(np.insert(ranks.first, rows, rank), np.insert(ranks.last, rows, rank)),
    )

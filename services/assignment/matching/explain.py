"""Why packages were matched as they were: the chosen partner's cost by rule, who came next, who was lost to what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.asking import feasible_by
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.candidates import Neighbours, nearby
from services.assignment.matching.edges import Edges, KnownCosts
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.groups import least
from services.assignment.matching.match import MatchResult
from services.assignment.matching.pipeline import REACH_GROWTH, REACH_MS_MIN
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rulebook import MS, RuleBook
from services.assignment.matching.rules.base import Rule, broadcasts

ALTERNATIVES_MAX = 3
ASSIGNED, NO_PARTNERS, NO_FEASIBLE_PARTNER, OUTCOMPETED = (
    "ASSIGNED", "NO_PARTNERS", "NO_FEASIBLE_PARTNER", "OUTCOMPETED",
)  # fmt: skip
# A partner who is not at work, as `absent` counts it.
OFFLINE = "OFFLINE"
PAIRS_AT_ONCE_MAX = 300_000
# What so many pairs cost is looked up where it is known.
KNOWN_CELLS_MAX = 4_000_000
# How many times as many partners as are asked for are looked at first.
LOOKED_AT_FIRST = 4


@dataclass(frozen=True, slots=True)
class PartnerCost:
    """What a package would cost with a partner; `partner` is its index."""

    partner: int
    cost_s: float
    terms_s: Mapping[str, float]
    pickup_distance_m: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a package was matched as it was. `reason` says it in one word: the outcome, or the commonest loss."""

    outcome: str
    reason: str
    chosen: PartnerCost | None
    alternatives: tuple[PartnerCost, ...]
    partners_lost: Mapping[str, int]
    partners_feasible: int


def explain(
    problem: Problem, result: MatchResult, absent: Mapping[str, int] | None = None, packages: Ints | None = None
) -> tuple[Explanation, ...]:
    """Explain `packages`, by their indices; all of them where none are named.

    `absent` counts, by reason, partners who are not among the problem's because they could take nothing at all: they
    are lost to every package, and the explanations say so.
    """
    absent = absent or {}
    rows = np.arange(len(problem.packages)) if packages is None else packages
    if not len(problem.partners):
        outcome = NO_FEASIBLE_PARTNER if absent else NO_PARTNERS
        return (Explanation(outcome, _commonest(absent), None, (), absent, 0),) * len(rows)
    lost, feasible = count_lost(problem, result.book, rows)
    best = cheapest(problem, result.book, rows, ALTERNATIVES_MAX + 1, result.known)
    shown = _costs(problem, result, rows, best)
    return tuple(
        _explanation(int(result.partner[row]), shown[place], Counter(absent) + lost[place], int(feasible[place]))
        for place, row in enumerate(rows)
    )


def _explanation(taken: int, costs: Sequence[PartnerCost], lost: Counter[str], feasible: int) -> Explanation:
    chosen = next((cost for cost in costs if cost.partner == taken), None)
    others = tuple(cost for cost in costs if cost.partner != taken)[:ALTERNATIVES_MAX]
    if chosen is not None:
        outcome = reason = ASSIGNED
    elif feasible:
        outcome = reason = OUTCOMPETED
    else:
        outcome, reason = NO_FEASIBLE_PARTNER, _commonest(lost)
    return Explanation(outcome, reason, chosen, others, dict(lost), feasible)


def count_lost(problem: Problem, book: RuleBook, packages: Ints) -> tuple[list[Counter[str]], Ints]:
    """Return for each package how many partners were lost to each reason, and (packages,) how many could take it.

    Looks at every pair, but asks a rule only about those that no rule before it has ruled out.
    """
    m, lost = len(problem.partners), [Counter[str]() for _ in packages]
    feasible = np.zeros(len(packages), dtype=np.int64)
    step = max(1, PAIRS_AT_ONCE_MAX // max(1, m))
    for start in range(0, len(packages), step):
        rows = packages[start : start + step]
        alive = np.ones((len(rows), m), dtype=bool)
        left = alive.sum(axis=1)
        for weighed in book.rules:
            if weighed.rule.reason is None or not left.any():
                continue
            _rule_out(weighed.rule, problem, rows, alive)
            before, left = left, alive.sum(axis=1)
            for index in np.flatnonzero(left < before):
                lost[start + index][weighed.rule.reason] += int(before[index] - left[index])
        feasible[start : start + len(rows)] = left
    return lost, feasible


def _rule_out(rule: Rule, problem: Problem, rows: Ints, alive: Bools) -> None:
    """Take those pairs out of `alive`, (rows, m), that the rule rules out."""
    if broadcasts(rule):
        alive &= feasible_by(rule, problem, Edges(problem, rows[:, None], np.arange(alive.shape[1])[None]))
        return
    cells = np.flatnonzero(alive)
    place, partner = np.divmod(cells, alive.shape[1])
    alive.ravel()[cells[~feasible_by(rule, problem, Edges(problem, rows[place], partner))]] = False


def cheapest(problem: Problem, book: RuleBook, packages: Ints, count: int, known: KnownCosts | None = None) -> Ints:
    """Return (packages, count): each package's cheapest partners, cheapest first, UNASSIGNED where there are no more.

    Neighbourhoods grow until no partner beyond them can be cheaper than those found. Ties go by the partner's index.
    known: what the book makes of some of the pairs.
    """
    index, floor_ms = nearby(problem, book, np.zeros(len(problem.partners))), book.floor_ms(problem)[packages]
    best = _Cheapest(problem, book, packages, count, known)
    open_places, found = np.arange(len(packages)), index.nearest(packages, LOOKED_AT_FIRST * count)
    while True:
        best.take_in(open_places, found)
        open_places = np.flatnonzero(best.reach_ms + floor_ms < best.cost_ms[:, -1])
        if not len(open_places):
            return best.partner
        # Whoever costs less than the dearest so far is this near; step by step, since better ones are found on the way.
        farthest_ms = best.cost_ms[open_places, -1] - floor_ms[open_places]
        farther_ms = REACH_GROWTH * np.maximum(0.0, best.reach_ms[open_places]) + REACH_MS_MIN
        found = index.within(packages[open_places], np.minimum(farthest_ms, farther_ms))


class _Cheapest:
    """The cheapest of the pairs taken in so far: partner, cost_ms (packages, count), UNASSIGNED and +inf behind them.

    reach_ms: (packages,) how far has been looked.
    """

    def __init__(self, problem: Problem, book: RuleBook, packages: Ints, count: int, known: KnownCosts | None) -> None:
        n, m = len(problem.packages), len(problem.partners)
        self._problem, self._book, self._count = problem, book, count
        self._known_ms = known.table(n, m) if known is not None and n * m <= KNOWN_CELLS_MAX else None
        self._place = np.empty(len(problem.packages), dtype=np.int64)
        self._place[packages] = np.arange(len(packages))
        self.partner = np.full((len(packages), count), UNASSIGNED, dtype=np.int64)
        self.cost_ms = np.full((len(packages), count), np.inf)
        self.reach_ms = np.full(len(packages), -np.inf)

    def take_in(self, places: Ints, found: Neighbours) -> None:
        """Take in what has been found for the packages at `places`, as far as it is new."""
        new = found.least_ms > self.reach_ms[self._place[found.package]]
        self.reach_ms[places] = found.reach_ms
        edges = Edges(self._problem, found.package[new], found.partner[new])
        place = self._place[edges.package]
        quick_ms, bound_ms = self._book.bound_ms(self._problem, edges, screened=found.screened)
        possible = np.isfinite(bound_ms) & (bound_ms <= self.cost_ms[place, -1])
        # The likeliest first: most of the others are then out by their bounds alone.
        first = least(place, bound_ms, np.flatnonzero(possible), LOOKED_AT_FIRST * self._count)
        self._rank(edges, place, first, quick_ms)
        possible &= bound_ms <= self.cost_ms[place, -1]
        possible[first] = False
        self._rank(edges, place, np.flatnonzero(possible), quick_ms)

    def _priced(self, edges: Edges, quick_ms: Floats) -> Floats:
        if self._known_ms is None:
            return self._book.sharpened_ms(self._problem, edges, quick_ms)
        cost_ms: Floats = self._known_ms[edges.package * len(self._problem.partners) + edges.partner]
        new = np.flatnonzero(np.isnan(cost_ms))
        cost_ms[new] = self._book.sharpened_ms(self._problem, edges.taken(new), quick_ms[new])
        return cost_ms

    def _rank(self, edges: Edges, place: Ints, rows: Ints, quick_ms: Floats) -> None:
        """Price some of the pairs and put the cheapest in their places."""
        cost_ms = self._priced(edges.taken(rows), quick_ms[rows])
        changed = np.unique(place[rows])
        places = np.concatenate([np.repeat(changed, self._count), place[rows]])
        partners = np.concatenate([self.partner[changed].ravel(), edges.partner[rows]])
        costs = np.concatenate([self.cost_ms[changed].ravel(), cost_ms])
        order = np.lexsort((partners, costs, places))
        order = order[np.isfinite(costs[order])]
        rank = np.arange(len(order)) - np.searchsorted(places[order], places[order])
        top = order[rank < self._count]
        at = places[top], rank[rank < self._count]
        self.partner[at], self.cost_ms[at] = partners[top], costs[top]


def _costs(problem: Problem, result: MatchResult, rows: Ints, best: Ints) -> list[list[PartnerCost]]:
    """Return for each package what its matched partner and its cheapest ones cost."""
    columns = np.column_stack([result.partner[rows], best])
    # The matched one stands first; it may stand among the cheapest ones again.
    columns[:, 1:][columns[:, 1:] == columns[:, :1]] = UNASSIGNED
    place, column = np.nonzero(columns != UNASSIGNED)
    edges = Edges(problem, rows[place], columns[place, column])
    terms = result.book.terms_s(problem, edges)
    cost_s: Floats = result.book.price(problem, edges).cost_ms / MS
    shown: list[list[PartnerCost]] = [[] for _ in rows]
    for edge, index in enumerate(place):
        shares = {name: float(values[edge]) for name, values in terms.items() if values[edge]}
        shown[index].append(
            PartnerCost(int(edges.partner[edge]), float(cost_s[edge]), shares, float(edges.distance_m[edge]))
        )
    return shown


def _commonest(counts: Mapping[str, int]) -> str:
    """Return the reason that most partners were lost to; OFFLINE only where nobody is at work."""
    at_work = {reason: count for reason, count in counts.items() if reason != OFFLINE and count}
    candidates = at_work or counts
    return max(candidates, key=lambda reason: candidates[reason], default=NO_PARTNERS)

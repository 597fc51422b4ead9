"""Why packages were matched as they were: the chosen partner's cost by rule, who came next, who was lost to what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.asking import feasible_by
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.candidates import nearby
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.match import MatchResult
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.routes import least
from services.assignment.matching.rulebook import MS, RuleBook
from services.assignment.matching.rules.base import Rule, broadcasts

ALTERNATIVES_MAX = 3
ASSIGNED, NO_PARTNERS, NO_FEASIBLE_PARTNER, OUTCOMPETED = (
    "ASSIGNED", "NO_PARTNERS", "NO_FEASIBLE_PARTNER", "OUTCOMPETED",
)  # fmt: skip
# A partner who is not at work, as `absent` counts it.
OFFLINE = "OFFLINE"
PAIRS_AT_ONCE_MAX = 300_000


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
    best = cheapest(problem, result.book, rows, ALTERNATIVES_MAX + 1)
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


def cheapest(problem: Problem, book: RuleBook, packages: Ints, count: int) -> Ints:
    """Return (packages, count): each package's cheapest partners, cheapest first, UNASSIGNED where there are no more.

    Neighbourhoods grow until no partner beyond them can be cheaper than those found. Ties go by the partner's index.
    """
    index = nearby(problem, book, np.zeros(len(problem.partners)))
    floor_ms = book.floor_ms(problem)
    best = np.full((len(packages), count), UNASSIGNED, dtype=np.int64)
    open_places, looked_at = np.arange(len(packages)), 4 * count
    while len(open_places):
        found = index.nearest(packages[open_places], looked_at)
        at = np.empty(len(problem.packages), dtype=np.int64)
        at[packages[open_places]] = np.arange(len(open_places))
        place = at[found.package]
        cost_ms = _least_priced(problem, book, Edges(problem, found.package, found.partner), place, count)
        order = np.lexsort((found.partner, cost_ms, place))
        order = order[np.isfinite(cost_ms[order])]
        firsts = np.searchsorted(place[order], np.arange(len(open_places)))
        rank = np.arange(len(order)) - firsts[place[order]]
        top = order[rank < count]
        best[open_places[place[top]], rank[rank < count]] = found.partner[top]
        dearest = np.full(len(open_places), np.inf)
        last = order[rank == count - 1]
        dearest[place[last]] = cost_ms[last]
        open_places = open_places[found.reach_ms + floor_ms[packages[open_places]] < dearest]
        looked_at *= 2
    return best


def _least_priced(problem: Problem, book: RuleBook, edges: Edges, place: Ints, count: int) -> Floats:
    """Return the pairs' costs, +inf where bounds alone show that a pair is not among the `count` cheapest of its place.

    place: (e,) whose pair it is.
    """
    (quick_ms, bound_ms), cost_ms = book.bound_ms(problem, edges), np.full(len(edges), np.inf)
    possible = np.flatnonzero(np.isfinite(bound_ms))
    first = least(place, bound_ms, possible, count)
    cost_ms[first] = book.sharpened_ms(problem, edges.taken(first), quick_ms[first])
    dearest_ms = np.full(int(place.max(initial=0)) + 1, -np.inf)
    np.maximum.at(dearest_ms, place[first], cost_ms[first])
    # With fewer than `count` known, anyone may still be one of them.
    dearest_ms[np.bincount(place[first], minlength=len(dearest_ms)) < count] = np.inf
    cheap = bound_ms <= dearest_ms[place]
    cheap[first] = False
    rest = possible[cheap[possible]]
    cost_ms[rest] = book.sharpened_ms(problem, edges.taken(rest), quick_ms[rest])
    return cost_ms


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

"""A city's rules as they are configured: what they make of candidate pairs, and which of them is broken."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.assignment.matching.asking import (
    RuleFaultError,
    bound_s,
    checked,
    fault,
    feasible_by,
    floor_s,
    partner_floor_s,
)
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import (
    COST_S_MAX,
    Rule,
    RulesOut,
    broadcasts,
    costs_its_floors,
    is_bounded,
    is_floored,
    is_partner_floored,
    is_slow,
)
from services.assignment.matching.rules.pickup_travel import PickupTravel
from services.assignment.matching.screening import Screen

POSSIBLE = -1
MS = 1000.0


@dataclass(frozen=True)
class Weighed:
    """A rule and what a second of its cost weighs."""

    rule: Rule
    weight: float


@dataclass(frozen=True)
class Priced:
    """cost_ms: (e,) whole milliseconds, +inf where impossible; lost_to: (e,) the rule that rules a pair out.

    lost_to is an index into the book's rules, POSSIBLE where none does. Whole milliseconds, so that sums are exact in
    float64 and every machine finds the same optimum.
    """

    cost_ms: Floats
    lost_to: npt.NDArray[np.int16]


@dataclass(frozen=True)
class RuleBook:
    """The rules of a match, lowest rank first, and those that were switched off because they are broken."""

    rules: tuple[Weighed, ...]
    faults: tuple[RuleFaultError, ...] = field(default=())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return each rule's reason, "" for one that rules nothing out."""
        return tuple(weighed.rule.reason or "" for weighed in self.rules)

    @property
    def travel_weight(self) -> float:
        """Return what a second of way to the pickup costs at least."""
        return sum(weighed.weight for weighed in self.rules if weighed.rule.name == PickupTravel.name)

    def without(self, fault: RuleFaultError) -> "RuleBook":
        """Return the book with a broken rule switched off."""
        kept = tuple(weighed for weighed in self.rules if weighed.rule.name != fault.rule)
        return RuleBook(kept, (*self.faults, fault))

    def price(self, problem: Problem, edges: Edges) -> Priced:
        """Return what the pairs cost; RuleFaultError for the first broken rule."""
        cost_ms = np.full(len(edges), np.inf)
        lost_to = np.full(len(edges), POSSIBLE, dtype=np.int16)
        left, so_far_ms = np.arange(len(edges)), np.zeros(len(edges))
        for place, weighed in enumerate(self.rules):
            own_ms = _weighed_ms(weighed, checked(weighed.rule, problem, edges))
            so_far_ms += own_ms
            if weighed.rule.reason is not None and np.isposinf(own_ms).any():
                stay = np.isfinite(own_ms)
                lost_to[left[~stay]] = place
                left, so_far_ms, edges = left[stay], so_far_ms[stay], edges.taken(stay)
        self._check_sum(problem, edges, so_far_ms)
        cost_ms[left] = so_far_ms
        return Priced(cost_ms, lost_to)

    def screen(self, problem: Problem, partners: Ints) -> Screen:
        """Return what tells which pairs of packages and some partners comparisons of columns leave."""
        return Screen(problem, [weighed.rule for weighed in self.rules], partners)

    def bound_ms(self, problem: Problem, edges: Edges, *, screened: bool = False) -> tuple[Floats, Floats]:
        """Return (e,) what each pair costs without the slow rules, and (e,) what it costs at least with them.

        Both are +inf where a pair is known to be impossible. Rules that cost are asked about the pairs that are left by
        those that only rule out; pairs that have been `screened` are not asked about again.
        """
        floors = problem.once(self, "floors", lambda: self._floors(problem))
        quick_ms, bound_ms = np.full(len(edges), np.inf), np.full(len(edges), np.inf)
        left, edges = self._possible(problem, edges, screened=screened)
        so_far_ms = floors.partner_ms[edges.partner] + floors.package_ms[edges.package]
        for weighed in self.rules:
            rule = weighed.rule
            if not (is_slow(rule) or costs_its_floors(rule) or isinstance(rule, RulesOut)):
                so_far_ms += _weighed_ms(weighed, checked(rule, problem, edges))
        quick_ms[left] = so_far_ms
        so_far_ms += floors.slow_ms[edges.package]
        for weighed in self.rules:
            if is_bounded(weighed.rule):
                so_far_ms += _weighed_ms(weighed, bound_s(weighed.rule, problem, edges))
        bound_ms[left] = so_far_ms
        return quick_ms, bound_ms

    def _possible(self, problem: Problem, edges: Edges, *, screened: bool) -> tuple[Ints, Edges]:
        """Return the pairs that the quick rules leave which only rule out, by their rows, and as edges."""
        possible = np.ones(len(edges), dtype=bool)
        for weighed in self.rules:
            rule = weighed.rule
            if isinstance(rule, RulesOut) and not (is_slow(rule) or (screened and broadcasts(rule))):
                possible &= feasible_by(rule, problem, edges)
        left = np.flatnonzero(possible)
        return left, edges.taken(left)

    def sharpened_ms(self, problem: Problem, edges: Edges, quick_ms: Floats) -> Floats:
        """Return (e,): what pairs cost whose cost without the slow rules is `quick_ms`."""
        cost_ms = np.full(len(edges), np.inf)
        left, so_far_ms = np.arange(len(edges)), quick_ms.copy()
        for weighed in self.rules:
            if is_slow(weighed.rule):
                so_far_ms += _weighed_ms(weighed, checked(weighed.rule, problem, edges))
                stay = np.isfinite(so_far_ms)
                if not stay.all():
                    left, so_far_ms, edges = left[stay], so_far_ms[stay], edges.taken(stay)
        self._check_sum(problem, edges, so_far_ms)
        cost_ms[left] = so_far_ms
        return cost_ms

    def feasible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,): which pairs no rule rules out. Much quicker than price() where routes are long."""
        possible: Bools = np.zeros(len(edges), dtype=bool)
        left = np.arange(len(edges))
        for weighed in self.rules:
            if weighed.rule.reason is not None and len(left):
                stay = feasible_by(weighed.rule, problem, edges)
                left, edges = left[stay], edges.taken(stay)
        possible[left] = True
        return possible

    def _check_sum(self, problem: Problem, edges: Edges, cost_ms: Floats) -> None:
        """Refuse what costs more than all rules together may: the dearest rule is the broken one."""
        too_dear = cost_ms > COST_S_MAX * MS
        if too_dear.any():
            row = int(np.argmax(too_dear))
            pair = edges.taken(np.array([row]))
            costs = {w.rule.name: w.weight * float(checked(w.rule, problem, pair)[0]) for w in self.rules}
            dearest = max(costs, key=lambda name: costs[name])
            raise fault(dearest, f"costs {costs[dearest]:g} s with its weight", pair, 0)

    def terms_s(self, problem: Problem, edges: Edges) -> dict[str, Floats]:
        """Return each rule's weighed cost of the pairs, (e,), by its name, where it costs any of them something."""
        terms = {w.rule.name: _weighed_ms(w, checked(w.rule, problem, edges)) / MS for w in self.rules}
        return {name: values for name, values in terms.items() if values.any()}

    def floor_ms(self, problem: Problem) -> Floats:
        """Return (n,): what a package costs at least, wherever its partner is."""
        floor_ms = np.zeros(len(problem.packages))
        for weighed in self.rules:
            if is_floored(weighed.rule):
                floor_ms += np.floor(weighed.weight * MS * floor_s(weighed.rule, problem))
        return floor_ms

    def partner_floor_ms(self, problem: Problem) -> Floats:
        """Return (m,): what a partner costs at least, wherever its package is; +inf where it can take none."""
        floor_ms = np.where(problem.partners.units_max > 0, 0.0, np.inf)
        for weighed in self.rules:
            if is_partner_floored(weighed.rule):
                floor_ms += _weighed_ms(weighed, partner_floor_s(weighed.rule, problem), np.floor)
        return floor_ms

    def _floors(self, problem: Problem) -> "_Floors":
        floors = _Floors(*(np.zeros(len(side)) for side in (problem.packages, problem.partners, problem.packages)))
        for weighed in self.rules:
            rule = weighed.rule
            if costs_its_floors(rule):
                floors.package_ms[:] += _weighed_ms(weighed, floor_s(rule, problem)) if is_floored(rule) else 0.0
                if is_partner_floored(rule):
                    floors.partner_ms[:] += _weighed_ms(weighed, partner_floor_s(rule, problem))
            elif is_slow(rule) and is_floored(rule):
                floors.slow_ms[:] += _weighed_ms(weighed, floor_s(rule, problem), np.floor)
        return floors


@dataclass(frozen=True)
class _Floors:
    """package_ms (n,), partner_ms (m,): of rules that cost just their floors; slow_ms (n,): floors of slow ones."""

    package_ms: Floats
    partner_ms: Floats
    slow_ms: Floats


def _weighed_ms(weighed: Weighed, cost_s: Floats, rounded: Callable[[Floats], Floats] = np.rint) -> Floats:
    """Return whole milliseconds, +inf where impossible, whatever the weight."""
    if not weighed.weight:
        return np.where(np.isposinf(cost_s), np.inf, 0.0)
    return rounded(weighed.weight * MS * cost_s)

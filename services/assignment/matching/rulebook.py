"""A city's rules as they are configured: what they make of candidate pairs, and which of them is broken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import (
    COST_S_MAX,
    FlooredRule,
    PartnerFlooredRule,
    Rule,
    RulesOut,
    is_bounded,
    is_floored,
    is_partner_floored,
    is_quick,
)
from services.assignment.matching.rules.pickup_travel import PickupTravel

POSSIBLE = -1
MS = 1000.0
FAULT_CHARS_MAX = 500
_Array = TypeVar("_Array", Floats, Bools)
# What rounding may take off a floor.
FLOOR_SLACK_S = 1e-6


class RuleFaultError(Exception):
    """A rule is broken: its name, what it did, and the package and partner where, if at one pair."""

    def __init__(self, rule: str, problem: str, package: str = "", partner: str = "") -> None:
        self.rule, self.problem, self.package, self.partner = rule, problem, package, partner
        at = [f"{what} {which!r}" for what, which in (("package", package), ("partner", partner)) if which]
        super().__init__(f"rule {rule}: {problem}{' for ' if at else ''}{' and '.join(at)}")

    def row(self) -> dict[str, str]:
        """Return the fault as it is stored and sent, which it can be whatever the rule has said."""
        problem = self.problem.encode("utf-8", "replace").decode().replace("\0", " ")[:FAULT_CHARS_MAX]
        return {"rule": self.rule, "problem": problem, "package_id": self.package, "partner_id": self.partner}


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

    def screened(self, problem: Problem, partners: Ints) -> Bools:
        """Return (n, partners): the pairs of all packages with some partners that comparisons of columns leave."""
        n = len(problem.packages)
        pairs, possible = Edges(problem, np.arange(n)[:, None], partners[None]), np.ones((n, len(partners)), dtype=bool)
        for weighed in self.rules if n else ():
            if _broadcasts(weighed.rule):
                possible &= feasible_by(weighed.rule, problem, pairs)
        return possible

    def bound_ms(self, problem: Problem, edges: Edges, *, screened: bool = False) -> Floats:
        """Return (e,): a lower bound of each pair's cost that is quick to find, +inf where it is impossible.

        Asks each rule about the pairs that no rule before it has ruled out: the first are cheap and leave little. Pairs
        that have been `screened` are not asked about again.
        """
        bound_ms = np.full(len(edges), np.inf)
        if not len(edges):
            return bound_ms
        left, so_far_ms = np.arange(len(edges)), np.zeros(len(edges))
        for weighed in self.rules:
            if screened and _broadcasts(weighed.rule):
                continue
            if isinstance(weighed.rule, RulesOut):
                stay = feasible_by(weighed.rule, problem, edges)
            else:
                own_ms = _weighed_ms(weighed, _bound(weighed.rule, problem, edges))
                so_far_ms += own_ms
                if weighed.rule.reason is None:
                    continue
                stay = np.isfinite(own_ms)
            if not stay.all():
                left, so_far_ms, edges = left[stay], so_far_ms[stay], edges.taken(stay)
        bound_ms[left] = so_far_ms
        return bound_ms

    def sharpened_ms(self, problem: Problem, edges: Edges, bound_ms: Floats) -> Floats:
        """Return (e,): what pairs cost that are possible as far as bound_ms() could tell, which was `bound_ms`."""
        cost_ms = np.full(len(edges), np.inf)
        left, so_far_ms = np.arange(len(edges)), bound_ms.copy()
        for weighed in self.rules:
            if is_bounded(weighed.rule):
                so_far_ms -= _weighed_ms(weighed, _bound(weighed.rule, problem, edges))
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
            raise _fault(dearest, f"costs {costs[dearest]:g} s with its weight", pair, 0)

    def terms_s(self, problem: Problem, edges: Edges) -> dict[str, Floats]:
        """Return each rule's weighed cost of the pairs, (e,), by its name, where it costs any of them something."""
        terms = {w.rule.name: _weighed_ms(w, checked(w.rule, problem, edges)) / MS for w in self.rules}
        return {name: values for name, values in terms.items() if values.any()}

    def floor_ms(self, problem: Problem) -> Floats:
        """Return (n,): what a package costs at least, wherever its partner is."""
        floor_ms = np.zeros(len(problem.packages))
        for weighed in self.rules:
            if is_floored(weighed.rule):
                floor_ms += np.floor(weighed.weight * MS * _floor_s(weighed.rule, problem))
        return floor_ms

    def partner_floor_ms(self, problem: Problem) -> Floats:
        """Return (m,): what a partner costs at least, wherever its package is; +inf where it can take none."""
        floor_ms = np.where(problem.partners.units_max > 0, 0.0, np.inf)
        for weighed in self.rules:
            if is_partner_floored(weighed.rule):
                floor_s = _partner_floor_s(weighed.rule, problem)
                possible = np.isfinite(floor_s)
                floor_ms += np.where(
                    possible, np.floor(weighed.weight * MS * np.where(possible, floor_s, 0.0)), np.inf
                )
        return floor_ms


def _weighed_ms(weighed: Weighed, cost_s: Floats) -> Floats:
    """Return whole milliseconds, +inf where impossible, whatever the weight."""
    possible = np.isfinite(cost_s)
    result: Floats = np.where(possible, np.rint(weighed.weight * MS * np.where(possible, cost_s, 0.0)), np.inf)
    return result


def _called(name: str, function: Callable[..., _Array], *arguments: object) -> _Array:
    try:
        return function(*arguments)
    except Exception as error:
        raise RuleFaultError(name, f"raised {_told(error)}") from error


def _told(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - an error of a rule may be as broken as the rule
        return type(error).__name__


def _floor_s(rule: FlooredRule, problem: Problem) -> Floats:
    """Return (n,): the rule's floor; RuleFaultError unless it is a bound of what a rule may return."""

    def work() -> Floats:
        n = len(problem.packages)
        values, row = _lower(rule.name, "floor", n, _called(rule.name, rule.floor, problem) if n else np.zeros(0))
        if row is not None:
            raise RuleFaultError(rule.name, f"its floor is {values[row]}", problem.packages.ids[row])
        return values

    return problem.once(rule, "floor", work)


def _partner_floor_s(rule: PartnerFlooredRule, problem: Problem) -> Floats:
    """Return (m,): the same of partners; +inf where one can take nothing, which only a rule with a reason may say."""

    def work() -> Floats:
        m = len(problem.partners)
        floor_s = _called(rule.name, rule.partner_floor, problem) if m else np.zeros(0)
        values, row = _lower(rule.name, "partner floor", m, floor_s, infinite=rule.reason is not None)
        if row is not None:
            raise RuleFaultError(rule.name, f"its partner floor is {values[row]}", "", problem.partners.ids[row])
        return values

    return problem.once(rule, "partner floor", work)


def _lower(
    name: str, what: str, count: int, values: Floats, *, infinite: bool = False
) -> tuple[Floats, int | None]:
    """Return lower bounds of shape (count,), and the first place where there is none."""
    if not isinstance(values, np.ndarray) or values.shape != (count,) or not np.issubdtype(values.dtype, np.floating):
        raise RuleFaultError(name, f"its {what} is no array of floating-point numbers of shape ({count},)")
    values = np.asarray(values, dtype=np.float64)
    allowed = (values >= 0) & ((values <= COST_S_MAX) | (infinite & np.isposinf(values)))
    return values, None if allowed.all() else int(np.argmin(allowed))


def checked(rule: Rule, problem: Problem, edges: Edges) -> Floats:
    """Return the rule's costs; RuleFaultError unless they are what a rule may return.

    Of no pairs it is not asked: an array without numbers is where many a rule would fail for nothing.
    """
    if not len(edges):
        return np.zeros(0)
    values = _called(rule.name, rule, problem, edges)
    if not isinstance(values, np.ndarray) or values.shape != (len(edges),):
        shape = values.shape if isinstance(values, np.ndarray) else type(values).__name__
        raise RuleFaultError(rule.name, f"returned {shape} instead of an array of shape ({len(edges)},)")
    if not np.issubdtype(values.dtype, np.floating):
        raise RuleFaultError(rule.name, f"returned {values.dtype} instead of floating-point numbers")
    # Neither a mask nor another precision goes any further.
    values = np.asarray(values, dtype=np.float64)
    allowed = (values >= 0) & (values <= COST_S_MAX)
    if rule.reason is not None:
        allowed |= np.isposinf(values)
    if not allowed.all():
        row = int(np.argmin(allowed))
        said = f"returned {values[row]:g}, not a cost from 0 to {COST_S_MAX:g} s"
        raise _fault(rule.name, said if rule.reason else f"{said}, and it has no reason for +inf", edges, row)
    for what, floor_s in _floors_of(rule, problem, edges):
        below = values < floor_s - FLOOR_SLACK_S
        if below.any():
            raise _fault(rule.name, f"costs less than its {what}", edges, int(np.argmax(below)))
    return values


def _floors_of(rule: Rule, problem: Problem, edges: Edges) -> Iterator[tuple[str, Floats]]:
    """Yield the name and (e,) values of each floor that the rule has."""
    if is_floored(rule):
        yield "floor", _floor_s(rule, problem)[edges.package]
    if is_partner_floored(rule):
        yield "partner floor", _partner_floor_s(rule, problem)[edges.partner]


def _bound(rule: Rule, problem: Problem, edges: Edges) -> Floats:
    """Return the rule's own lower bound, or its costs where it has none."""
    if is_bounded(rule) and len(edges):
        values, row = _lower(rule.name, "bound", len(edges), _called(rule.name, rule.bound, problem, edges))
        if row is not None:
            raise _fault(rule.name, f"its bound is {values[row]}", edges, row)
        return values
    return checked(rule, problem, edges)


def _broadcasts(rule: Rule) -> bool:
    return isinstance(rule, RulesOut) and rule.broadcasts


def feasible_by(rule: Rule, problem: Problem, edges: Edges) -> Bools:
    """Return (e,): which pairs the rule does not rule out, without their costs where it can tell."""
    if not is_quick(rule) or not len(edges):
        return ~np.isposinf(checked(rule, problem, edges))
    possible = _called(rule.name, rule.possible, problem, edges)
    if not isinstance(possible, np.ndarray) or possible.shape != edges.shape or possible.dtype != np.bool_:
        raise RuleFaultError(rule.name, f"its possible pairs are no booleans of shape {edges.shape}")
    return np.asarray(possible)


def _fault(rule: str, said: str, edges: Edges, row: int) -> RuleFaultError:
    problem = edges.problem
    return RuleFaultError(
        rule, said, problem.packages.ids[edges.package[row]], problem.partners.ids[edges.partner[row]]
    )

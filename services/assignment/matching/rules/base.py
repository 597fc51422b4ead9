"""What a rule is."""

from typing import ClassVar, Protocol, TypeGuard

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem

# No finite cost of a pair may be above this: 11 days. It keeps every sum exact; see pipeline.py.
COST_S_MAX = 1e6


class Rule(Protocol):
    """One rule: a frozen dataclass whose fields are its parameters, numbers with defaults.

    name: what its cost is called in explanations and its configuration. reason: what a pair that it rules out is lost
    to; None for a rule that only costs. weight: what a second of its cost weighs where the city says nothing. rank: a
    pair that several rules rule out is lost to the one of lowest rank. A rule may also say, as ClassVar[bool] = True:
    `required`, then no city can switch it off; `slow`, then only pairs are asked about that other rules and its floors
    leave a chance; `costs_its_floors`, where a pair costs just the sum of them.
    """

    name: ClassVar[str]
    reason: ClassVar[str | None]
    weight: ClassVar[float]
    rank: ClassVar[int]

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return (e,): each pair's cost in seconds-equivalent, from 0 to COST_S_MAX, or +inf where impossible."""
        ...


class BoundedRule(Rule, Protocol):
    """A rule that is slow to ask, and knows a lower bound of its cost that is not: most pairs are out by that alone."""

    def bound(self, problem: Problem, edges: Edges) -> Floats:
        """Return (e,): finite, and never above what the rule returns."""
        ...


class QuickRule(Rule, Protocol):
    """A rule that can say whether pairs are possible without working out what they cost."""

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,): False exactly where the rule's cost is +inf."""
        ...


class PartnerFlooredRule(Rule, Protocol):
    """A rule that knows a lower bound of its cost for each partner, whatever it takes; it makes the search smaller."""

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): no pair of the partner costs less by this rule; +inf for one that can take no package."""
        ...


class RulesOut:
    """Base of rules that only rule pairs out: they say which are possible, and those cost nothing.

    One that does nothing but compare columns says that it `broadcasts`: then it is also asked about all pairs of some
    packages and partners at once, as edges whose package has shape (n, 1) and whose partner has shape (1, m).
    """

    broadcasts: ClassVar[bool] = False

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,): False for a pair that is ruled out."""
        raise NotImplementedError

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        return np.where(self.possible(problem, edges), 0.0, np.inf)


class Fits(RulesOut):
    """Base of rules by which a package must need no more of something than a partner has room for."""

    name: ClassVar[str]
    broadcasts: ClassVar[bool] = True

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,): what each package needs, and (m,): what each partner has room for."""
        raise NotImplementedError

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return the shape of the edges: False where there is too little room."""
        needed, room = self.sides(problem)
        fits: Bools = needed[edges.package] <= room[edges.partner]
        return fits


class FlooredRule(Rule, Protocol):
    """A rule that knows a lower bound of its cost for each package, whoever takes it; it makes the search smaller."""

    def floor(self, problem: Problem) -> Floats:
        """Return (n,): no pair of the package costs less by this rule."""
        ...


def is_bounded(rule: Rule) -> TypeGuard[BoundedRule]:
    """Say whether a rule has a bound. Asked often: isinstance would compare every member of the protocol."""
    return hasattr(rule, "bound")


def is_quick(rule: Rule) -> TypeGuard[QuickRule]:
    """Say whether a rule can tell possible pairs without their costs."""
    return hasattr(rule, "possible")


def is_floored(rule: Rule) -> TypeGuard[FlooredRule]:
    """Say whether a rule has a floor."""
    return hasattr(rule, "floor")


def is_partner_floored(rule: Rule) -> TypeGuard[PartnerFlooredRule]:
    """Say whether a rule has a floor for partners."""
    return hasattr(rule, "partner_floor")


def is_slow(rule: Rule) -> bool:
    """Say whether a rule is only asked about pairs that its floors, or its bound where it has one, leave a chance."""
    return bool(getattr(rule, "slow", False)) or is_bounded(rule)


def costs_its_floors(rule: Rule) -> bool:
    """Say whether a pair costs just the sum of the rule's floors."""
    return bool(getattr(rule, "costs_its_floors", False))


def broadcasts(rule: Rule) -> bool:
    """Say whether a rule only compares columns, and may be asked about many pairs at once."""
    return isinstance(rule, RulesOut) and rule.broadcasts

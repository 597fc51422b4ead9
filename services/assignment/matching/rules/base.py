"""What a rule is."""

from typing import ClassVar, Protocol, TypeGuard

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem

# No finite cost of a pair may be above this: 11 days. It keeps every sum exact; see pipeline.py.
COST_S_MAX = 1e6


class Rule(Protocol):
    """One rule: a frozen dataclass whose fields are its parameters, numbers with defaults.

    name: what its cost is called in explanations and its configuration. reason: what a pair that it rules out is lost
    to; None for a rule that only costs. weight: what a second of its cost weighs where the city says nothing. rank: a
    pair that several rules rule out is lost to the one of lowest rank. A rule may also say `required: ClassVar[bool] =
    True`: then no city can switch it off.
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


class FlooredRule(Rule, Protocol):
    """A rule that knows a lower bound of its cost for each package, whoever takes it; it makes the search smaller."""

    def floor(self, problem: Problem) -> Floats:
        """Return (n,): no pair of the package costs less by this rule."""
        ...


def is_bounded(rule: Rule) -> TypeGuard[BoundedRule]:
    """Say whether a rule has a bound. Asked often: isinstance would compare every member of the protocol."""
    return hasattr(rule, "bound")


def is_floored(rule: Rule) -> TypeGuard[FlooredRule]:
    """Say whether a rule has a floor."""
    return hasattr(rule, "floor")

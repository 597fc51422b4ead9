"""Solving again where a rule breaks at what could be and did not at what is."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from services.assignment.matching.again import Again, Budget
from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.changes import Kind
from services.assignment.matching.counterfactual import Remedies, remedies
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.match import match
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.registry import rule_book
from tests.unit.services.assignment.matching.test_counterfactual import one_package


@dataclass(frozen=True)
class Untested:
    """Lets nothing heavy go, and has never been asked about packages that are lighter than 1 kg."""

    everywhere: float = 0.0

    name: ClassVar[str] = "untested"
    reason: ClassVar[str | None] = "UNTESTED"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 5

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        weight_g = problem.packages.weight_g[edges.package]
        if self.everywhere or (weight_g < 1_000).any():
            raise LookupError
        return np.where(weight_g > 1_200, np.inf, 0.0)


def test_a_rule_that_breaks_only_where_something_is_different_helps_nobody() -> None:
    """Left out of the changed window, as a match leaves it, it would let anything pass."""
    problem = one_package()
    result = match(problem, book=RuleBook((Weighed(Untested(), 1.0), *rule_book(problem.policy).rules)))
    assert result.partner.tolist() == [UNASSIGNED]
    light = replace(problem, packages=replace(problem.packages, weight_g=np.array([900])))
    with pytest.raises(RuleFaultError, match="untested"):
        Again(problem, result, Budget()).assigns_as_a_whole(light, 0)
    (answer,) = remedies(problem, result, [0]).values()
    assert answer.found == ()
    assert set(answer.tried) == set(Kind) - {Kind.WEIGHT}
    broken = replace(result, book=RuleBook((Weighed(Untested(1.0), 1.0), *result.book.rules[1:])))
    assert remedies(problem, broken, [0]) == {0: Remedies((), ())}

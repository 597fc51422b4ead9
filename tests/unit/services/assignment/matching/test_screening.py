"""What is asked about all pairs at once gets the answers that it would get about each."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.edges import Edges
from services.assignment.matching.match import match
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.base import Fits, broadcasts
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.screening import Screen
from tests.unit.services.assignment.matching.problems import random_problem

PROBLEM = random_problem(7, 20, 30)
FAR = np.iinfo(np.int64).max // 4


def whole(problem: Problem, partners: np.ndarray[Any, Any]) -> Edges:
    n = len(problem.packages)
    return Edges(problem, np.repeat(np.arange(n), len(partners)), np.tile(partners, n))


@pytest.mark.parametrize("problem", [PROBLEM, random_problem(8, 1, 40), random_problem(9, 40, 1)])
def test_all_pairs_at_once_are_told_what_each_is(problem: Problem) -> None:
    rules = [weighed.rule for weighed in rule_book(problem.policy).rules]
    partners = np.arange(0, len(problem.partners), 2)
    possible = Screen(problem, rules, partners).possible(np.arange(len(problem.packages)))
    pairs = whole(problem, partners)
    expected = np.ones(len(pairs), dtype=bool)
    for rule in rules:
        if broadcasts(rule):
            expected &= np.isfinite(rule(problem, pairs))
    assert np.array_equal(possible.ravel(), expected)


@pytest.mark.parametrize(
    ("needed", "room"),
    [
        ([2**31, 2**31 - 1, 1], [2**31 - 1, 2**31, 2**31 + 1]),
        ([FAR, FAR - 1, 0], [FAR - 1, FAR, 5]),
        ([-(2**31), -FAR, 3], [-(2**31) - 1, -FAR, 3]),
        ([7, 8, 9], [FAR, -FAR, 8]),
    ],
)
def test_numbers_of_any_size_are_compared_exactly(needed: list[int], room: list[int]) -> None:
    problem = random_problem(3, 3, 3)
    rule = Sides(lambda _: (np.array(needed), np.array(room)))
    possible = Screen(problem, [rule], np.arange(3)).possible(np.arange(3))
    assert possible.tolist() == [[least <= most for most in room] for least in needed]


@dataclass(frozen=True)
class Sides(Fits):
    """Compares what it is told to."""

    of: Callable[[Problem], Any] = field(default=lambda _: None)

    name: ClassVar[str] = "sides"
    reason: ClassVar[str | None] = "TOO_MUCH"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 5

    def sides(self, problem: Problem) -> Any:
        return self.of(problem)


@pytest.mark.parametrize(
    "answer",
    [
        lambda problem: (np.zeros(len(problem.packages), dtype=np.int64), np.zeros(1, dtype=np.int64)),
        lambda problem: (np.zeros(len(problem.packages)), np.zeros(len(problem.partners))),
        lambda _: 1 / 0,
        lambda _: None,
        lambda _: (1, 2, 3),
    ],
)
def test_a_rule_whose_sides_are_none_is_left_out_by_name(answer: Callable[[Problem], Any]) -> None:
    rule = Sides(answer)
    with pytest.raises(RuleFaultError, match="rule sides: "):
        Screen(PROBLEM, [rule], np.arange(3))
    book = rule_book(PROBLEM.policy)
    found = match(PROBLEM, book=RuleBook((Weighed(rule, 1.0), *book.rules)))
    assert [fault.rule for fault in found.book.faults] == ["sides"]
    assert np.array_equal(found.partner, match(replace(PROBLEM)).partner)

"""Rules that are broken: each is named with where it broke, left out, and the rest goes on as if it were not there."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from services.assignment.cities.codec import fault_to
from services.assignment.matching.answer import answer
from services.assignment.matching.asking import FAULT_CHARS_MAX, RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.edges import Edges
from services.assignment.matching.match import match
from services.assignment.matching.problem import Policy, Problem, RuleConfig
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.base import COST_S_MAX
from services.assignment.matching.rules.registry import rule_book
from tests.unit.services.assignment.matching.problems import random_problem

PROBLEM = random_problem(11, 12, 12)
ROWS = 12 * 12


def whole(problem: Problem) -> Edges:
    n, m = len(problem.packages), len(problem.partners)
    return Edges(problem, np.repeat(np.arange(n), m), np.tile(np.arange(m), n))


@dataclass(frozen=True)
class Broken:
    """Answers whatever it is told to."""

    answers: Callable[[Problem, Edges], Any]
    floor_s: Callable[[Problem], Any] = field(default=lambda problem: np.zeros(len(problem.packages)))

    name: ClassVar[str] = "broken"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 5

    def __call__(self, problem: Problem, edges: Edges) -> Any:
        return self.answers(problem, edges)

    def floor(self, problem: Problem) -> Any:
        return self.floor_s(problem)


def book_with(broken: Broken, weight: float = 1.0) -> RuleBook:
    return RuleBook((Weighed(broken, weight), *rule_book(PROBLEM.policy).rules))


def at_first_pair(value: float) -> Callable[[Problem, Edges], Any]:
    """Costs nothing, but for the first package with whichever partner comes first."""

    def answers(problem: Problem, edges: Edges) -> Any:
        cost = np.zeros(len(edges))
        cost[:1] = value
        return cost

    return answers


def masked(problem: Problem, edges: Edges) -> Any:
    """Hides a NaN, as numpy can."""
    return np.ma.masked_invalid(np.where(np.arange(len(edges)) == 0, np.nan, 0.0))


class ShyError(Exception):
    def __repr__(self) -> str:
        raise ValueError("will not say")


def refuse_to_say(problem: Problem, edges: Edges) -> Any:
    raise ShyError


def fail(problem: Problem, edges: Edges) -> Any:
    raise LookupError("no weather today")


@pytest.mark.parametrize(
    ("answers", "said", "at_a_pair"),
    [
        (fail, "raised LookupError('no weather today')", False),
        (refuse_to_say, "raised ShyError", False),
        (masked, "returned nan, not a cost", True),
        (lambda problem, edges: np.zeros(len(edges) + 1), "returned (", False),
        (lambda problem, edges: np.zeros((len(edges), 1)), "returned (", False),
        (lambda problem, edges: 0.0, "returned float instead of an array", False),
        (lambda problem, edges: None, "returned NoneType instead of an array", False),
        (
            lambda problem, edges: np.zeros(len(edges), dtype=np.int64),
            "returned int64 instead of floating-point",
            False,
        ),
        (lambda problem, edges: np.zeros(len(edges), dtype=object), "returned object instead of floating-point", False),
        (at_first_pair(np.nan), "returned nan, not a cost from 0 to 1e+06 s", True),
        (at_first_pair(-0.5), "returned -0.5, not a cost", True),
        (at_first_pair(-np.inf), "returned -inf, not a cost", True),
        (at_first_pair(np.inf), "returned inf, not a cost from 0 to 1e+06 s, and it has no reason for +inf", True),
        (at_first_pair(COST_S_MAX * 1.01), "returned 1.01e+06, not a cost", True),
    ],
)
def test_a_broken_rule_is_left_out_by_name_and_place_and_the_match_is_the_one_without_it(
    answers: Callable[[Problem, Edges], Any], said: str, at_a_pair: bool
) -> None:
    result, explanations = answer(PROBLEM, book=book_with(Broken(answers)))
    (fault,) = result.book.faults
    assert fault.rule == "broken"
    assert said in fault.problem
    assert str(fault).startswith("rule broken: ")
    assert bool(fault.package) == bool(fault.partner) == at_a_pair
    if at_a_pair:
        assert fault.package in PROBLEM.packages.ids
        assert fault.partner in PROBLEM.partners.ids
        assert str(fault).endswith(f"for package {fault.package!r} and partner {fault.partner!r}")
    without, unbroken = answer(PROBLEM)
    assert (result.partner.tolist(), explanations) == (without.partner.tolist(), unbroken)
    assert (result.partner != UNASSIGNED).any()
    assert not without.book.faults


@pytest.mark.parametrize(
    ("floor_s", "said"),
    [
        (lambda problem: 1 / 0, "raised ZeroDivisionError"),
        (lambda problem: np.zeros(3), "its floor is no array of floating-point numbers of shape (12,)"),
        (lambda problem: np.zeros(12, dtype=object), "its floor is no array"),
        (lambda problem: np.full(12, 0.01), "costs less than its floor for package"),
        (lambda problem: 0.0, "its floor is no array"),
        (lambda problem: np.full(12, np.nan), "its floor is nan for package 'package-0'"),
        (lambda problem: np.full(12, -1.0), "its floor is -1.0"),
    ],
)
def test_a_broken_floor_is_a_broken_rule(floor_s: Callable[[Problem], Any], said: str) -> None:
    nothing = Broken(lambda problem, edges: np.zeros(len(edges)), floor_s)
    result = match(PROBLEM, book=book_with(nothing))
    (fault,) = result.book.faults
    assert said in str(fault)
    assert result.partner.tolist() == match(PROBLEM).partner.tolist()


@pytest.mark.parametrize(
    ("possible", "said"),
    [
        (fail, "raised LookupError"),
        (lambda problem, edges: np.ones(len(edges) + 1, dtype=bool), "its possible pairs are no booleans of shape ("),
        (lambda problem, edges: np.ones(len(edges)), "its possible pairs are no booleans"),
        (lambda problem, edges: True, "its possible pairs are no booleans"),
    ],
)
def test_broken_possible_pairs_are_a_broken_rule(possible: Callable[[Problem, Edges], Any], said: str) -> None:
    kind = type("Quick", (Broken,), {"reason": "NEVER", "possible": lambda self, *asked: possible(*asked)})
    result, explanations = answer(PROBLEM, book=book_with(kind(lambda problem, edges: np.zeros(len(edges)))))
    (fault,) = result.book.faults
    assert said in str(fault)
    assert explanations == answer(PROBLEM)[1]


def test_a_rule_that_breaks_at_a_pair_that_only_explanations_look_at_is_left_out_of_both() -> None:
    # Farther than any that the matching prices.
    far = whole(PROBLEM).distance_m.reshape(12, 12).max()

    def answers(problem: Problem, edges: Edges) -> Any:
        return np.where(edges.distance_m >= far, np.nan, 5.0)

    broken = Broken(answers, lambda problem: np.full(len(problem.packages), 5.0))
    # First of all, so that explanations ask it about every pair.
    with_reason = type("WithReason", (Broken,), {"reason": "NEVER"})(broken.answers, broken.floor_s)
    book = book_with(with_reason)
    assert not match(PROBLEM, book=book).book.faults
    result, explanations = answer(PROBLEM, book=book)
    (fault,) = result.book.faults
    assert (fault.rule, bool(fault.package)) == ("broken", True)
    assert explanations == answer(PROBLEM)[1]


def test_a_rule_is_not_asked_of_no_pairs_or_packages() -> None:
    broken = Broken(lambda problem, edges: np.full(len(edges), edges.distance_m.max() * 0), lambda p: 1 / 0)
    nothing = random_problem(11, 0, 12)
    assert not answer(nothing, book=book_with(broken))[0].book.faults
    picky = Broken(lambda problem, edges: np.full(len(edges), edges.distance_m.max() * 0))
    alone = random_problem(11, 12, 0)
    assert not answer(alone, book=book_with(picky))[0].book.faults


def test_several_broken_rules_are_all_named() -> None:
    class Worse(Broken):
        name = "worse"

    rules = (Weighed(Broken(fail), 1.0), Weighed(Worse(at_first_pair(np.nan)), 1.0), *rule_book(Policy()).rules)
    result, _ = answer(PROBLEM, book=RuleBook(rules))
    assert [fault.rule for fault in result.book.faults] == ["broken", "worse"]


def test_a_weight_that_makes_a_pair_too_dear_is_the_dearest_rules_fault() -> None:
    dear = Broken(lambda problem, edges: np.full(len(edges), COST_S_MAX / 2))
    result, _ = answer(PROBLEM, book=book_with(dear, weight=3.0))
    (fault,) = result.book.faults
    assert (fault.rule, fault.problem) == ("broken", "costs 1.5e+06 s with its weight")
    assert fault.partner in PROBLEM.partners.ids


def test_a_fault_of_a_rule_that_takes_no_part_is_not_swallowed() -> None:
    class Confused(Broken):
        def __call__(self, problem: Problem, edges: Edges) -> Any:
            raise AssertionError

    def floor(problem: Problem) -> Any:
        raise RuleFaultError("somebody_else", "is to blame")

    # What a rule raises is its own fault, whatever it says.
    result, _ = answer(PROBLEM, book=book_with(Broken(lambda p, e: np.zeros(len(e)), floor)))
    assert [fault.rule for fault in result.book.faults] == ["broken"]
    result, _ = answer(PROBLEM, book=book_with(Confused(fail)))
    assert [fault.rule for fault in result.book.faults] == ["broken"]


def test_every_fault_can_be_stored_and_sent() -> None:
    fault = RuleFaultError("broken", "\ud800 half \0 and " + "long " * 1_000, "parcel", "partner")
    row = json.loads(json.dumps(fault.row()))
    assert len(row["problem"]) == FAULT_CHARS_MAX
    assert "\0" not in row["problem"]
    sent = fault_to(row)
    assert type(sent).FromString(sent.SerializeToString()) == sent
    assert (sent.rule, sent.package_id, sent.partner_id) == ("broken", "parcel", "partner")


def test_without_any_rule_but_the_required_ones_a_window_still_completes() -> None:
    names = {weighed.rule.name for weighed in rule_book(Policy()).rules if not getattr(weighed.rule, "required", False)}
    off = {name: RuleConfig(enabled=False) for name in names}
    policy = Policy(rules=off | {"pickup_travel": RuleConfig(weight=0.0)})
    problem = Problem(PROBLEM.packages, PROBLEM.partners, policy, PROBLEM.travel, PROBLEM.now_s)
    result, explanations = answer(problem)
    assert result.total_cost_s == 0.0
    assert (result.partner != UNASSIGNED).any()
    assert len(explanations) == 12

"""A match with its explanations, which agree on the rules: one that breaks in either is left out of both."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.explain import Explanation, explain
from services.assignment.matching.match import MatchResult, match
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import RuleBook
from services.assignment.matching.rules.registry import rule_book


def answer(
    problem: Problem,
    clock_s: Callable[[], float] = float,
    *,
    book: RuleBook | None = None,
    absent: Mapping[str, int] | None = None,
    executor: Executor | None = None,
) -> tuple[MatchResult, tuple[Explanation, ...]]:
    """Match and explain every package.

    The matching looks at the pairs that could matter, explanations at every pair: a rule may turn out to be broken at a
    far one. Then all is matched again without it. Each try loses a rule, so there are at most as many as rules.
    """
    book = rule_book(problem.policy) if book is None else book
    while True:
        result = match(problem, clock_s, book=book, executor=executor)
        try:
            return result, explain(problem, result, absent)
        except RuleFaultError as fault:
            if fault.rule not in {weighed.rule.name for weighed in result.book.rules}:
                raise
            book = result.book.without(fault)

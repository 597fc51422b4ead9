"""Asks single rules, and refuses what no rule may answer."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.memo import FLOORS
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import (
    COST_S_MAX,
    BoundedRule,
    Fits,
    FlooredRule,
    PartnerFlooredRule,
    Rule,
    costs_its_floors,
    is_floored,
    is_partner_floored,
    is_quick,
)

FAULT_CHARS_MAX = 500
# What rounding may take off a floor.
FLOOR_SLACK_S = 1e-6
_Answer = TypeVar("_Answer")


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


def _called(name: str, function: Callable[..., _Answer], *arguments: object) -> _Answer:
    try:
        return function(*arguments)
    except Exception as error:
        raise RuleFaultError(name, f"raised {_told(error)}") from error


def _told(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - an error of a rule may be as broken as the rule
        return type(error).__name__


def floor_s(rule: FlooredRule, problem: Problem) -> Floats:
    """Return (n,): the rule's floor; RuleFaultError unless it is a bound of what a rule may return."""

    def work() -> Floats:
        n = len(problem.packages)
        values, row = _lower(rule.name, "floor", n, _called(rule.name, rule.floor, problem) if n else np.zeros(0))
        if row is not None:
            raise RuleFaultError(rule.name, f"its floor is {values[row]}", problem.packages.ids[row])
        return values

    return problem.once(rule, FLOORS[0], work)


def partner_floor_s(rule: PartnerFlooredRule, problem: Problem) -> Floats:
    """Return (m,): the same of partners; +inf where one can take nothing, which only a rule with a reason may say."""

    def work() -> Floats:
        m = len(problem.partners)
        least_s = _called(rule.name, rule.partner_floor, problem) if m else np.zeros(0)
        values, row = _lower(rule.name, "partner floor", m, least_s, infinite=rule.reason is not None)
        if row is not None:
            raise RuleFaultError(rule.name, f"its partner floor is {values[row]}", "", problem.partners.ids[row])
        return values

    return problem.once(rule, FLOORS[1], work)


def _lower(name: str, what: str, count: int, values: Floats, *, infinite: bool = False) -> tuple[Floats, int | None]:
    """Return lower bounds of shape (count,), and the first place where there is none."""
    if not isinstance(values, np.ndarray) or values.shape != (count,) or values.dtype.kind != "f":
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
    if values.dtype.kind != "f":
        raise RuleFaultError(rule.name, f"returned {values.dtype} instead of floating-point numbers")
    # Neither a mask nor another precision goes any further.
    values = np.require(values, np.float64, ("C", "W", "E"))
    row = _first_refused(values, COST_S_MAX, rule.reason is not None)
    if row >= 0:
        said = f"returned {values[row]:g}, not a cost from 0 to {COST_S_MAX:g} s"
        raise fault(rule.name, said if rule.reason else f"{said}, and it has no reason for +inf", edges, row)
    if is_floored(rule) or is_partner_floored(rule):
        _check_floors(rule, problem, edges, values)
    return values


def _check_floors(rule: Rule, problem: Problem, edges: Edges, values: Floats) -> None:
    floors_s = np.zeros(len(edges))
    for what, least_s, index in _floors_of(rule, problem, edges):
        row = _first_below(values, least_s, index, floors_s)
        if row >= 0:
            raise fault(rule.name, f"costs less than its {what}", edges, row)
    if costs_its_floors(rule):
        above = values > floors_s + FLOOR_SLACK_S
        if above.any():
            raise fault(rule.name, "costs more than its floors", edges, int(np.argmax(above)))


def _floors_of(rule: Rule, problem: Problem, edges: Edges) -> Iterator[tuple[str, Floats, Ints]]:
    """Yield the name and the values of each floor that the rule has, and (e,): which of them is a pair's."""
    if is_floored(rule):
        yield "floor", floor_s(rule, problem), edges.package
    if is_partner_floored(rule):
        yield "partner floor", partner_floor_s(rule, problem), edges.partner


@compiled
def _first_refused(values: Floats, most: float, infinite: bool) -> int:
    """Return the first row whose value is neither from 0 to `most` nor, if that is allowed, +inf; -1 where none is."""
    for row in range(len(values)):
        if not (0 <= values[row] <= most or (infinite and values[row] == np.inf)):
            return row
    return -1


@compiled
def _first_below(values: Floats, least: Floats, index: Ints, total: Floats) -> int:
    """Return the first row that is less than least[index[row]], -1 where none is; add that to `total`."""
    first = -1
    for row in range(len(values)):
        total[row] += least[index[row]]
        if first < 0 and values[row] < least[index[row]] - FLOOR_SLACK_S:
            first = row
    return first


def sides_of(rule: Fits, problem: Problem) -> tuple[Ints, Ints]:
    """Return the columns that the rule compares; RuleFaultError unless they are integers, (n,) and (m,)."""

    def asked() -> tuple[Ints, Ints]:
        needed, room = rule.sides(problem)
        return needed, room

    needed, room = _called(rule.name, asked)
    for side, count in ((needed, len(problem.packages)), (room, len(problem.partners))):
        if not isinstance(side, np.ndarray) or side.shape != (count,) or side.dtype.kind not in "iu":
            raise RuleFaultError(rule.name, f"a side that it compares is no array of integers of shape ({count},)")
    return needed, room


def bound_s(rule: BoundedRule, problem: Problem, edges: Edges) -> Floats:
    """Return (e,): the rule's own lower bound; RuleFaultError unless it is one of what a rule may return."""
    if not len(edges):
        return np.zeros(0)
    values, row = _lower(rule.name, "bound", len(edges), _called(rule.name, rule.bound, problem, edges))
    if row is not None:
        raise fault(rule.name, f"its bound is {values[row]}", edges, row)
    return values


def feasible_by(rule: Rule, problem: Problem, edges: Edges) -> Bools:
    """Return (e,): which pairs the rule does not rule out, without their costs where it can tell."""
    if not is_quick(rule) or not len(edges):
        return ~np.isposinf(checked(rule, problem, edges))
    possible = _called(rule.name, rule.possible, problem, edges)
    if not isinstance(possible, np.ndarray) or possible.shape != edges.shape or possible.dtype != np.bool_:
        raise RuleFaultError(rule.name, f"its possible pairs are no booleans of shape {edges.shape}")
    return np.asarray(possible)


def fault(rule: str, said: str, edges: Edges, row: int) -> RuleFaultError:
    """Return the error for what a rule said of one pair."""
    problem = edges.problem
    return RuleFaultError(
        rule, said, problem.packages.ids[edges.package[row]], problem.partners.ids[edges.partner[row]]
    )

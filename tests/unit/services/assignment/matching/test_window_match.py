"""A window's matching with routes and bundles, and a day of windows that comes out as sensible routes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.bundling import BundleLimits
from services.assignment.matching.edges import Edges
from services.assignment.matching.explain import ASSIGNED
from services.assignment.matching.geography import Floats, Metric
from services.assignment.matching.loads import loaded
from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.travel import Travel
from services.assignment.matching.window_match import match_window, under_pressure
from tests.unit.services.assignment.matching.problems import NOW_S
from tests.unit.services.assignment.matching.test_bundling import busy_problem

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 20), st.integers(1, 5), st.sampled_from([None, BundleLimits()]))
def test_a_window_assigns_each_package_once_within_capacity_and_says_why(
    seed: int, n: int, m: int, limits: BundleLimits | None
) -> None:
    problem = busy_problem(seed, n, m)
    packages, partners = problem.packages, problem.partners
    found = match_window(problem, Ranks.counted(partners.routes), limits, {"OFFLINE": 2})
    assert len(found.explanations) == len(found.partner) == n
    for j in range(m):
        mine = found.partner == j
        assert mine.sum() <= partners.parcels_left[j]
        assert packages.weight_g[mine].sum() <= partners.weight_g_left[j] or not mine.any()
        assert packages.volume_cm3[mine].sum() <= partners.volume_cm3_left[j] or not mine.any()
        assert found.plan.routes.lengths[j] == 2 * mine.sum()
    for i, said in enumerate(found.explanations):
        assigned = found.partner[i] != UNASSIGNED
        assert (said.outcome == ASSIGNED) == assigned
        assert said.partners_lost["OFFLINE"] == 2
        assert np.isnan(found.plan.pickup_rank[i]) == (not assigned)
        if said.chosen is not None:
            assert said.chosen.partner == found.partner[i]
            assert said.chosen.cost_s == pytest.approx(found.cost_s[i], abs=0.001)
            assert [found.partner[i], i] not in [[j, k] for k, j in packages.declined.tolist()]
    left_out = set(np.flatnonzero(found.partner == UNASSIGNED))
    assert left_out == {int(found.rest.rows[row]) for row in np.flatnonzero(found.rest.result.partner == UNASSIGNED)}


@dataclass
class Breaking:
    """Costs nothing until it is broken: in the matching of one round, or at some pairs."""

    at: Callable[[Problem, Edges], bool]

    name: ClassVar[str] = "breaking"
    reason: ClassVar[str | None] = "NEVER"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 5

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        # It costs something, so that a round that was matched by it comes out otherwise.
        cost_s = 900.0 * ((edges.package + edges.partner) % 3)
        return np.full(len(edges), np.nan) if self.at(problem, edges) else cost_s


def by_itself(problem: Problem) -> bool:
    """Say whether the last round is on: no bundles any more, and routes that earlier rounds have made."""
    return bool(len(problem.partners.routes.place)) and bool((problem.packages.parcels == 1).all())


@pytest.mark.parametrize(
    ("limits", "at"),
    [
        (None, lambda problem, edges: True),
        (BundleLimits(), lambda problem, edges: True),
        (BundleLimits(), lambda problem, edges: by_itself(problem)),
        (BundleLimits(), lambda problem, edges: len(edges) > 1 and bool((edges.package == edges.package[0]).all())),
    ],
    ids=["without bundles", "at once", "in the last round", "in explanations"],
)
def test_a_rule_that_breaks_anywhere_is_left_out_of_the_whole_window(
    limits: BundleLimits | None, at: Callable[[Problem, Edges], bool]
) -> None:
    problem = busy_problem(3, 40, 6)
    ranks, rules = Ranks.counted(problem.partners.routes), rule_book(Policy()).rules
    before = RuleFaultError("latenes", "is no rule")
    book = RuleBook((Weighed(Breaking(at), 1.0), *rules), (before,))
    found, without = match_window(problem, ranks, limits, {}, book=book), match_window(problem, ranks, limits, {})
    assert [fault.rule for fault in found.book.faults] == ["latenes", "breaking"]
    assert found.partner.tolist() == without.partner.tolist()
    assert found.cost_s.tolist() == without.cost_s.tolist()
    assert found.explanations == without.explanations
    assert found.bundles == without.bundles
    assert bool(found.bundles) == (limits is not None)
    whole = match_window(problem, ranks, limits, {}, book=RuleBook((Weighed(Breaking(never), 1.0), *rules)))
    assert whole.partner.tolist() != without.partner.tolist()
    assert not whole.book.faults


def never(problem: Problem, edges: Edges) -> bool:
    """Break at nothing."""
    return False


def test_a_bundle_that_is_too_much_for_everyone_falls_apart() -> None:
    """Three partners, two of whom have room for both parcels and may not take one of them."""
    packages = Packages.of(
        ["one", "two"],
        np.zeros((2, 2)),
        np.array([[1_000.0, 0.0], [1_010.0, 0.0]]),
        weight_g=np.array([600, 600]),
        declined=np.array([[0, 1], [0, 2]]),
    )
    partners = Partners.of(
        ["asha", "bina", "chitra"],
        np.zeros((3, 2)),
        parcels_left=np.array([2, 2, 2]),
        weight_g_left=np.array([1_000, 2_000, 2_000]),
    )
    problem = Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)
    found = match_window(problem, Ranks.counted(partners.routes), BundleLimits(), {})
    assert (found.bundles, found.partner[0]) == (0, 0)
    assert found.partner[1] in {1, 2}


@dataclass(frozen=True)
class BreaksAtTheLastPartner:
    """A rule that only somebody who looks at every pair finds out to be broken."""

    name: ClassVar[str] = "breaks"
    reason: ClassVar[str | None] = "BROKEN"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 1

    def __call__(self, problem: Problem, edges: Edges) -> np.ndarray:
        if len(problem.partners) - 1 in edges.partner:
            raise ZeroDivisionError
        return np.zeros(len(edges))


@pytest.mark.parametrize("limits", [None, BundleLimits()])
def test_a_rule_that_breaks_while_a_window_is_explained_takes_no_part_in_it(limits: BundleLimits | None) -> None:
    n, m = 20, 40
    packages = Packages.of([str(i) for i in range(n)], np.zeros((n, 2)), np.full((n, 2), 500.0))
    place = np.column_stack([np.arange(m) * 100.0, np.zeros(m)])
    partners = Partners.of([str(j) for j in range(m)], place, parcels_left=np.full(m, 4))
    problem = Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)
    book = rule_book(problem.policy)
    book = replace(book, rules=(*book.rules, Weighed(BreaksAtTheLastPartner(), 1.0)))
    found = match_window(problem, Ranks.counted(partners.routes), limits, {}, book=book)
    assert [fault.rule for fault in found.book.faults] == ["breaks"]
    assert (found.partner != UNASSIGNED).all()
    assert (found.bundles > 0) == (limits is not None)


def test_pressure_is_more_packages_than_partners_who_may_get_one() -> None:
    problem = busy_problem(1, 6, 5)
    problem = replace(problem, partners=replace(problem.partners, units_max=np.array([3, 0, 3, 0, 3])))
    assert under_pressure(problem, 1.0)
    assert under_pressure(problem, 0.0)
    assert not under_pressure(problem, 2.0)


def length_m(places: np.ndarray) -> float:
    """The way from the depot along some places."""
    return float(np.hypot(*np.diff(np.vstack([[0.0, 0.0], places]), axis=0).T).sum())


def well_known_tour_m(places: np.ndarray) -> float:
    """Nearest neighbour, then 2-opt until nothing improves: what a courier who knew all of it might drive."""
    left, at, order = list(range(len(places))), np.zeros(2), []
    while left:
        nearest = min(left, key=lambda place: float(np.hypot(*(places[place] - at))))
        left.remove(nearest)
        order.append(nearest)
        at = places[nearest]
    best, improved = length_m(places[order]), True
    while improved:
        improved = False
        for start in range(len(order)):
            for end in range(start + 1, len(order)):
                turned = [*order[:start], *order[start : end + 1][::-1], *order[end + 1 :]]
                if length_m(places[turned]) < best - 1e-6:
                    best, order, improved = length_m(places[turned]), turned, True
    return best


COURIERS, PARCELS_EACH, WINDOWS = 5, 16, 5


@dataclass
class Day:
    """Couriers at a depot whose parcels come in window by window, as in LaDe: drops in a dozen neighbourhoods."""

    seed: int
    limits: BundleLimits | None
    held: dict[int, list[int]] = field(default_factory=dict)

    def run(self) -> "Day":
        random, n = np.random.default_rng(self.seed), COURIERS * PARCELS_EACH
        homes = random.normal(0, 3_000, (12, 2))
        self.drops = homes[random.integers(0, 12, n)] + random.normal(0, 400, (n, 2))
        self.partners = Partners.of(
            [f"courier-{j}" for j in range(COURIERS)], np.zeros((COURIERS, 2)), parcels_left=np.full(COURIERS, 20)
        )
        self.ranks = Ranks.counted(self.partners.routes)
        waiting = np.zeros(0, dtype=np.int64)
        for fresh in np.array_split(np.arange(n), WINDOWS):
            waiting = self._window(np.concatenate([waiting, fresh]))
        while len(waiting):
            waiting = self._window(waiting)
        return self

    def _window(self, rows: np.ndarray) -> np.ndarray:
        dwell_s, before = np.full(len(rows), 60.0), self.ranks
        packages = Packages.of(
            [str(row) for row in rows],
            np.zeros((len(rows), 2)),
            self.drops[rows],
            pickup_service_s=dwell_s,
            drop_service_s=dwell_s,
        )
        problem = Problem(packages, self.partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)
        found = match_window(problem, before, self.limits, {})
        old = [self._stops(j) for j in range(COURIERS)]
        self.partners = replace(loaded(packages, self.partners, found.partner), routes=found.plan.routes)
        self.ranks = found.plan.ranks
        for j, stops in enumerate(old):
            assert [stop for stop in self._stops(j) if stop in stops] == stops, "who was planned keeps its place"
        for row, j in zip(rows, found.partner, strict=True):
            if j != UNASSIGNED:
                self.held.setdefault(int(j), []).append(int(row))
        return rows[found.partner == UNASSIGNED]

    def _rows(self, j: int) -> slice:
        routes = self.partners.routes
        return slice(int(routes.offsets[j]), int(routes.offsets[j + 1]))

    def _stops(self, j: int) -> list[tuple[float, ...]]:
        rows = self._rows(j)
        places = self.partners.routes.place[rows].tolist()
        return [(rank, *place) for rank, place in zip(self.ranks.first[rows], places, strict=True)]

    @property
    def driven_m(self) -> float:
        """What all couriers drive."""
        return sum(length_m(self.partners.routes.place[self._rows(j)]) for j in self.held)

    @property
    def well_known_m(self) -> float:
        """What they would, if each had known all of its parcels from the start."""
        return sum(well_known_tour_m(self.drops[mine]) for mine in self.held.values())


def test_days_of_many_parcels_each_come_out_as_sensible_routes() -> None:
    bundled, singly = ([Day(seed, limits).run() for seed in (1, 2)] for limits in (BundleLimits(), None))
    for day in bundled:
        assert sorted(row for mine in day.held.values() for row in mine) == list(range(COURIERS * PARCELS_EACH))
        # What nobody knew when the first windows closed, and bundles that stay together, cost less than half.
        assert day.driven_m < 1.5 * day.well_known_m
    # One day may be unlucky; many are shorter.
    assert sum(day.driven_m for day in bundled) < 0.9 * sum(day.driven_m for day in singly)

"""Each rule against its slow reference, and what must hold of it for every problem."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.certificate import verify
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Metric
from services.assignment.matching.match import match
from services.assignment.matching.problem import UNRATED, Packages, Partners, Policy, Problem, RuleConfig
from services.assignment.matching.routes import Routes
from services.assignment.matching.rules.base import COST_S_MAX
from services.assignment.matching.rules.fairness import Fairness
from services.assignment.matching.rules.lateness import Lateness
from services.assignment.matching.rules.merchants import Merchants
from services.assignment.matching.rules.network import Network
from services.assignment.matching.rules.rating import Rating
from services.assignment.matching.rules.registry import discovered, rule_book
from services.assignment.matching.rules.waiting import Waiting
from services.assignment.matching.travel import Travel
from tests.unit.services.assignment.matching.problems import NOW_S
from tests.unit.services.assignment.matching.rules.references import REFERENCES, rich_problem

seeds = st.integers(0, 2**32 - 1)
EVERYWHERE = np.array([12.97, 77.59])


def every_pair(problem: Problem) -> Edges:
    """All pairs, package by package."""
    n, m = len(problem.packages), len(problem.partners)
    return Edges(problem, np.repeat(np.arange(n), m), np.tile(np.arange(m), n))


def partners_of(m: int, **columns: object) -> Problem:
    """One package and m partners at one place, who differ in these columns only."""
    place = np.tile(EVERYWHERE, (m, 1))
    packages = Packages.of(["parcel"], place[:1], place[:1], declared_value_paise=np.array([1_000_000]))
    return Problem(packages, Partners.of([f"p{j}" for j in range(m)], place, **columns), Policy(), Travel(), NOW_S)


def test_every_rule_that_ships_has_a_reference() -> None:
    assert set(REFERENCES) == {name for name, kind in discovered().items() if kind.__module__.startswith("services.")}


@pytest.mark.parametrize("name", sorted(REFERENCES))
@settings(max_examples=15, deadline=None)
@given(seed=seeds, n=st.integers(0, 5), m=st.integers(0, 5), routes=st.booleans())
def test_a_rule_says_of_every_pair_what_its_reference_says(name: str, seed: int, n: int, m: int, routes: bool) -> None:
    problem = rich_problem(seed, n, m, routes=routes)
    edges = every_pair(problem)
    values = discovered()[name]()(problem, edges)
    assert (values.shape, values.dtype) == ((n * m,), np.float64)
    pairs = itertools.product(range(n), range(m))
    assert values.tolist() == pytest.approx([REFERENCES[name](problem, i, j) for i, j in pairs], abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_no_rule_changes_the_problem_or_answers_differently_the_second_time(seed: int) -> None:
    problem, again = (rich_problem(seed, 6, 6) for _ in range(2))
    for kind in discovered().values():
        first, second = (kind()(problem, every_pair(problem)) for _ in range(2))
        assert first.tolist() == second.tolist() == kind()(again, every_pair(again)).tolist()


@settings(max_examples=15, deadline=None)
@given(seed=seeds, m=st.integers(1, 8))
def test_a_partner_who_has_earned_more_is_never_cheaper_and_equal_ones_cost_nothing(seed: int, m: int) -> None:
    earned = np.sort(np.random.default_rng(seed).integers(0, 50_000, m))
    problem = partners_of(m, earned_paise_per_h=earned)
    cost = Fairness()(problem, every_pair(problem))
    assert (np.diff(cost) >= 0).all()
    assert cost.min() >= 0
    assert cost.max() <= Fairness.penalty_s
    equal = partners_of(m, earned_paise_per_h=np.full(m, int(earned[0])))
    assert not Fairness()(equal, every_pair(equal)).any()


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_the_sicker_a_network_the_dearer_and_one_that_is_down_gets_nothing(health: list[float]) -> None:
    problem = partners_of(len(health), network_health=np.sort(np.array(health)))
    cost = Network()(problem, every_pair(problem))
    assert all(later <= earlier for earlier, later in itertools.pairwise(cost))
    assert (np.isposinf(cost) == (np.sort(health) == 0.0)).all()


def test_trust_counts_only_for_what_is_worth_something_and_the_unrated_stand_between() -> None:
    stars = np.array([2.0, 3.4, 3.5, UNRATED, 4.5, 5.0])
    problem = partners_of(6, rating=stars)

    def cost_s(value_paise: int) -> Floats:
        packages = replace(problem.packages, declared_value_paise=np.array([value_paise]))
        worth = replace(problem, packages=packages)
        return Rating()(worth, every_pair(worth))

    assert cost_s(0).tolist() == [0.0] * 6
    assert np.isposinf(cost_s(2_000_000)).tolist() == [True, True, False, False, False, False]
    assert cost_s(1_999_999).tolist() == pytest.approx(60.0 * (5 - stars), abs=0.01)
    assert 0 == cost_s(50_000_000)[-1] < cost_s(50_000_000)[-2] < cost_s(50_000_000)[-3] == 60.0


def test_a_merchant_that_insists_on_absent_partners_gets_none_of_the_others() -> None:
    problem = partners_of(2, merchants_choosing=np.array([0]))
    assert np.isposinf(Merchants()(problem, every_pair(problem))).all()
    one = partners_of(2, merchants_allowed=np.array([[1, 0]]))
    assert np.isposinf(Merchants()(one, every_pair(one))).tolist() == [True, False]
    both = partners_of(2, merchants_allowed=np.array([[1, 0]]), merchants_denied=np.array([[1, 0]]))
    assert np.isposinf(Merchants()(both, every_pair(both))).all(), "what is denied stays denied"


@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(2, 8))
def test_with_too_few_partners_what_has_waited_longest_is_served(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    waited_s = random.permutation(np.arange(n) * 100.0 + 1)
    place = np.tile(EVERYWHERE, (n, 1))
    packages = Packages.of([f"{i}" for i in range(n)], place, place, placed_at_s=NOW_S - waited_s)
    partners = Partners.of(["only"], place[:1] + random.uniform(-0.02, 0.02, (1, 2)))
    result = match(Problem(packages, partners, Policy(), Travel(), NOW_S))
    assert np.flatnonzero(result.partner != UNASSIGNED).tolist() == [int(np.argmax(waited_s))]


@pytest.mark.parametrize("way_m", [0.0, 50.0])
def test_nothing_is_less_late_than_its_floor_where_a_pickup_shares_the_dwell_of_another(way_m: float) -> None:
    shop, at = np.zeros((1, 2)), np.array([NOW_S])
    dwells = {"pickup_service_s": np.array([90.0]), "drop_service_s": np.array([20.0])}
    packages = Packages.of(["parcel"], shop, shop + 1_000.0, ready_at_s=at, due_at_s=at, **dwells)
    nothing = np.zeros(1, dtype=np.int64)
    visit = Routes(np.arange(2), shop, nothing + 1, np.array([30.0]), at - 9.0, at + 9e9, nothing, nothing, nothing)
    partners = Partners.of(["partner"], shop - way_m, vehicle=np.array([4]), routes=visit)
    problem = Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)
    pair = every_pair(problem)
    assert pair.insertion.pickup_after.tolist() == [1]
    assert Lateness()(problem, pair) >= Lateness().floor(problem) - 1e-6
    assert not match(problem).book.faults


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_waiting_never_changes_which_partner_a_package_would_get(seed: int) -> None:
    problem = rich_problem(seed, 5, 5)
    cost = Waiting()(problem, every_pair(problem)).reshape(5, 5)
    assert (cost == cost[:, :1]).all()
    assert cost[:, 0].tolist() == Waiting().floor(problem).tolist()
    assert cost.min() == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(0, 25), m=st.integers(0, 12), routes=st.booleans())
def test_with_every_rule_having_its_say_the_matching_is_still_the_best(seed: int, n: int, m: int, routes: bool) -> None:
    problem = rich_problem(seed, n, m, routes=routes)
    partners = replace(problem.partners, units_max=np.minimum(1, problem.partners.units_max))
    alone = replace(problem, partners=partners)
    result = match(alone)
    assert not result.book.faults
    assert result.optimal
    verify(alone, result.book, result.partner, result.certificate)


def test_a_partner_whom_every_rule_likes_but_who_gets_nothing_in_this_match_proves_nothing() -> None:
    problem = partners_of(1, units_max=np.array([0]))
    result = match(problem)
    assert result.partner.tolist() == [UNASSIGNED]
    verify(problem, result.book, result.partner, result.certificate)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(0, 20), m=st.integers(1, 4))
def test_no_partner_ever_holds_more_cash_than_it_may(seed: int, n: int, m: int) -> None:
    problem = rich_problem(seed, n, m, routes=False)
    roomy = replace(
        problem.partners,
        units_max=np.full(m, 20),
        **dict.fromkeys(("parcels_left", "weight_g_left", "volume_cm3_left"), np.full(m, 10**9)),
    )
    result = match(replace(problem, partners=roomy))
    for j in range(m):
        held = problem.packages.cash_on_delivery_paise[result.partner == j].sum()
        assert held <= problem.partners.cash_paise_left[j]


@settings(max_examples=10, deadline=None)
@given(seed=seeds, weight=st.floats(0, 10), penalty=st.floats(0, 86_400))
def test_a_weight_and_a_parameter_scale_what_a_rule_costs(seed: int, weight: float, penalty: float) -> None:
    config = RuleConfig(weight=weight, parameters={"penalty_s": penalty})
    book = rule_book(Policy(rules={"outside_zones": config}))
    problem = rich_problem(seed, 4, 4, routes=False)
    terms = book.terms_s(problem, every_pair(problem)).get("outside_zones", np.zeros(16))
    shipped = discovered()["outside_zones"]()(problem, every_pair(problem))
    assert terms.tolist() == pytest.approx((shipped / 300 * weight * penalty).tolist(), abs=0.001)
    assert terms.max() <= COST_S_MAX

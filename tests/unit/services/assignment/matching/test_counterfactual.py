"""Remedies: each does what it says, and a little less of it does not."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching import again as module
from services.assignment.matching.again import Again, Budget, BudgetSpentError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.changes import (
    COLUMN_CHANGES,
    Kind,
    with_partners,
    with_place,
    with_reach,
    with_vehicles,
)
from services.assignment.matching.counterfactual import DISTANCE_STEP_M, Remedies, remedies
from services.assignment.matching.match import match
from services.assignment.matching.problem import Partners, Problem, RuleConfig
from services.assignment.matching.remedies import Remedy
from tests.unit.services.assignment.matching.problems import NOW_S, policy_of, random_problem

seeds = st.integers(0, 2**32 - 1)
CHANGES = {change.kind: change for change in COLUMN_CHANGES}


def one_parcel_each(seed: int, n: int, m: int) -> Problem:
    """A problem in which no partner gets several packages, so that what fits alone fits."""
    problem = random_problem(seed, n, m)
    units = np.minimum(1, problem.partners.units_max)
    return replace(problem, partners=replace(problem.partners, units_max=units))


def found_in(problem: Problem) -> dict[int, Remedies]:
    result = match(problem)
    return remedies(problem, result, np.arange(len(problem.packages)))


def assigned(problem: Problem, row: int) -> bool:
    return bool(match(problem).partner[row] != UNASSIGNED)


def at_distance(problem: Problem, row: int, remedy: Remedy, metres: float, bearing: float) -> Problem:
    pickup = problem.packages.pickup[row]
    north, east = np.cos(bearing) * metres, np.sin(bearing) * metres
    degrees = np.degrees(np.array([north, east / np.cos(np.radians(pickup[0]))]) / 6_371_008.8)
    return with_partners(problem, (pickup + degrees)[None], remedy.vehicles.bit_length() - 1, row)


def with_remedy(problem: Problem, row: int, remedy: Remedy, less: int = 0) -> Problem:
    """The problem with a change made, or with a little less of it."""
    amount = remedy.amount - less
    if remedy.kind in CHANGES:
        return CHANGES[remedy.kind].applied(problem, row, amount)
    if remedy.kind is Kind.VEHICLES:
        return with_vehicles(problem, row, remedy.vehicles)
    if remedy.kind is Kind.PICKUP_DISTANCE:
        return with_reach(problem, row, problem.policy.pickup_distance_m_max + amount)
    if remedy.kind is Kind.PARTNER_PLACE:
        far_m = problem.travel.distance_m(problem.partners.place, problem.packages.pickup[row])
        return with_place(problem, int(np.flatnonzero(np.ceil(far_m) == amount)[0]), 1)
    return at_distance(problem, row, remedy, amount * (1 - 1e-5), np.pi)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 10), st.integers(0, 8))
def test_what_a_remedy_asks_for_gets_the_package_assigned_and_less_does_not(seed: int, n: int, m: int) -> None:
    problem = one_parcel_each(seed, n, m)
    answers = found_in(problem)
    assert set(answers) == set(np.flatnonzero(match(problem).partner == UNASSIGNED))
    for row, answer in answers.items():
        assert answer.tried == tuple(kind for kind in [*CHANGES, *OTHERS])
        assert [r.size for r in answer.found] == sorted(r.size for r in answer.found)
        for remedy in answer.found:
            assert remedy.amount > 0
            assert assigned(with_remedy(problem, row, remedy), row), remedy
            if remedy.kind in CHANGES:
                assert not assigned(with_remedy(problem, row, remedy, less=CHANGES[remedy.kind].step), row), remedy
            if remedy.kind is Kind.PICKUP_DISTANCE:
                assert not assigned(with_remedy(problem, row, remedy, less=1), row), remedy


OTHERS = (Kind.VEHICLES, Kind.PICKUP_DISTANCE, Kind.PARTNER_PLACE, Kind.PARTNER)


@settings(max_examples=6, deadline=None)
@given(seeds, st.integers(1, 9), st.integers(1, 7))
def test_no_smaller_amount_of_any_kind_would_have_helped(seed: int, n: int, m: int) -> None:
    problem = one_parcel_each(seed, n, m)
    for row, answer in found_in(problem).items():
        told = {remedy.kind: remedy.amount for remedy in answer.found}
        for kind in (Kind.WEIGHT, Kind.VOLUME, Kind.LONGEST_SIDE):
            change = CHANGES[kind]
            most = change.most_of(problem, row)
            everything = np.unique(np.append(change.candidates(problem, row)[0], [1, most]))
            helpful = [a for a in everything if 0 < a <= most and assigned(change.applied(problem, row, int(a)), row)]
            assert told.get(kind) == (min(helpful) if helpful else None)


@settings(max_examples=6, deadline=None)
@given(seeds, st.integers(1, 9), st.integers(1, 7))
def test_no_nearer_shift_would_have_helped(seed: int, n: int, m: int) -> None:
    problem = one_parcel_each(seed, n, m)
    result = match(problem)
    again = Again(problem, result, Budget())
    for row, answer in remedies(problem, result, np.arange(n)).items():
        now = again.feasible(problem, row)
        for kind in (Kind.READY_LATER, Kind.READY_EARLIER):
            change = CHANGES[kind]
            most, helpful = change.most_of(problem, row), []
            for amount in np.unique(change.candidates(problem, row)[0]):
                if 0 < amount <= most:
                    changed = change.applied(problem, row, int(amount))
                    if (again.feasible(changed, row) & ~now).any() and assigned(changed, row):
                        helpful.append(int(amount))
            told = [remedy.amount for remedy in answer.found if remedy.kind is kind]
            assert bool(told) == bool(helpful)
            assert not helpful or told[0] <= min(helpful)


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 8))
def test_solving_only_what_a_change_can_reach_is_as_good_as_solving_everything(seed: int, n: int, m: int) -> None:
    problem = one_parcel_each(seed, n, m)
    result = match(problem)
    random = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "WHOLE_PAIRS_MAX", 0)
        again = Again(problem, result, Budget(solves_max=1_000))
        for row in np.flatnonzero(result.partner == UNASSIGNED):
            for change in COLUMN_CHANGES:
                most = change.most_of(problem, row)
                if most > 0:
                    changed = change.applied(problem, int(row), int(random.integers(1, most + 1)))
                    assert again.assigns(changed, int(row)) == assigned(changed, int(row))


def one_package(**columns: object) -> Problem:
    """One package and one partner a kilometre away."""
    problem = random_problem(1, 1, 1)
    packages = replace(
        problem.packages,
        pickup=np.array([[12.97, 77.59]]),
        weight_g=np.array([1_500]),
        volume_cm3=np.array([1_000]),
        side_mm=np.array([200]),
        vehicle_mask=np.array([63]),
        ready_at_s=np.array([NOW_S]),
        declined=np.zeros((0, 2), dtype=np.int64),
    )
    partners = Partners.of(["partner"], np.array([[12.979, 77.59]]), **columns)
    return replace(problem, packages=packages, partners=partners)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"weight_g_left": np.array([1_200])}, "weight -300 g"),
        ({"volume_cm3_left": np.array([600])}, "volume -400 cm3"),
        ({"side_mm_max": np.array([150])}, "longest side -50 mm"),
        (
            {
                "slot_offsets": np.array([0, 1]),
                "slot_start_s": np.array([NOW_S + 720]),
                "slot_end_s": np.array([NOW_S + 9_000]),
            },
            "ready +12 min",
        ),
    ],
)
def test_the_smallest_change_comes_first_in_words(columns: dict[str, object], text: str) -> None:
    (answer,) = found_in(one_package(**columns)).values()
    assert answer.found[0].text == text
    assert answer.found[-1].text == "a partner within 8.0 km, by motorcycle, with room for it"


def test_money_that_a_partner_may_not_carry_is_told_in_its_currency() -> None:
    problem = one_package(cash_paise_left=np.array([50_000]))
    problem = replace(problem, packages=replace(problem.packages, cash_on_delivery_paise=np.array([62_050])))
    assert found_in(problem)[0].found[0].text == "cash on delivery -120.50 INR"


def test_a_value_below_which_ratings_do_not_matter_is_found() -> None:
    problem = one_package(rating=np.array([3.0]))
    problem = replace(problem, packages=replace(problem.packages, declared_value_paise=np.array([2_500_000])))
    assert found_in(problem)[0].found[0].text == "declared value -5000.01 INR"


def test_a_partner_who_is_too_far_is_told_by_the_limit_that_would_let_it_in() -> None:
    problem = replace(one_package(), policy=policy_of(pickup_distance_m_max=900))
    (answer,) = found_in(problem).values()
    assert [remedy.text for remedy in answer.found] == [
        "pickup distance limit +101 m",
        "a partner within 900 m, by motorcycle, with room for it",
    ]


def test_another_vehicle_is_named() -> None:
    problem = one_package(vehicle=np.array([4]))
    problem = replace(problem, packages=replace(problem.packages, vehicle_mask=np.array([4])))
    assert found_in(problem)[0].found[0].text == "also by car"


def two_for_one(due_in_s: float) -> Problem:
    """Two packages at one place and one partner with one place: the second one would be late."""
    problem = one_package()
    both = {
        name: np.repeat(getattr(problem.packages, name), 2, axis=0)
        for name in type(problem.packages).__dataclass_fields__
        if name not in {"ids", "declined"}
    }
    both["due_at_s"] = np.array([np.inf, NOW_S + due_in_s])
    packages = type(problem.packages)(ids=["first", "second"], declined=problem.packages.declined, **both)
    return replace(problem, packages=packages, partners=replace(problem.partners, units_max=np.array([1])))


def test_a_package_that_others_come_before_is_told_what_one_more_place_and_partner_would_do() -> None:
    (answer,) = found_in(two_for_one(600)).values()
    kinds = [remedy.kind for remedy in answer.found]
    assert Kind.PARTNER_PLACE in kinds
    assert Kind.PARTNER in kinds
    assert kinds.index(Kind.PARTNER_PLACE) < kinds.index(Kind.PARTNER) or answer.found[0].size < 1


def test_a_new_partner_must_be_so_near_that_no_other_package_gets_it() -> None:
    """Two packages are left out, two kilometres apart: whoever stands nearer to the other serves the other."""
    problem = two_for_one(np.inf)
    pickup = np.array([[12.97, 77.59], [12.988, 77.59]])
    packages = replace(problem.packages, pickup=pickup, drop=pickup, exit=pickup)
    nobody = Partners.of([], np.zeros((0, 2)))
    problem = replace(problem, packages=packages, partners=nobody)
    for row, answer in found_in(problem).items():
        (remedy,) = answer.found
        assert remedy.kind is Kind.PARTNER
        assert remedy.amount == pytest.approx(1_000, abs=DISTANCE_STEP_M)
        for bearing in np.linspace(0, 2 * np.pi, 8):
            assert assigned(at_distance(problem, row, remedy, remedy.amount * 0.999, bearing), row)


def test_where_nothing_helps_that_is_the_answer() -> None:
    problem = one_package()
    problem = replace(
        problem,
        packages=replace(problem.packages, merchant=np.array([7])),
        partners=replace(problem.partners, merchants_denied=np.array([[0, 7]])),
        policy=replace(
            problem.policy, rules={**problem.policy.rules, "merchants": RuleConfig()}, pickup_distance_m_max=50.0
        ),
    )
    (answer,) = found_in(problem).values()
    assert answer.found == ()
    assert set(answer.tried) == set(Kind)


def test_one_more_partner_of_a_merchant_who_insists_on_some_is_one_of_them() -> None:
    problem = one_package(merchants_choosing=np.array([7]))
    problem = replace(problem, packages=replace(problem.packages, merchant=np.array([7])))
    (answer,) = found_in(problem).values()
    assert [remedy.kind for remedy in answer.found] == [Kind.PARTNER]


def test_a_budget_that_is_spent_leaves_the_rest_untried() -> None:
    problem = random_problem(5, 12, 4)
    result = match(problem)
    left_out = np.flatnonzero(result.partner == UNASSIGNED)
    assert remedies(problem, result, left_out, Budget(expired=lambda: True)) == {}
    assert len(remedies(problem, result, left_out, Budget(packages_max=2))) == 2
    cut_short = remedies(problem, result, left_out, Budget(solves_max=1))
    assert all(set(answer.tried) < set(Kind) for answer in cut_short.values())


def test_a_budget_that_ends_while_a_window_is_solved_again_ends_the_solving() -> None:
    problem = random_problem(5, 12, 4)
    result, asked = match(problem), itertools.count()
    row = int(np.flatnonzero(result.partner == UNASSIGNED)[0])
    again = Again(problem, result, Budget(expired=lambda: next(asked) > 0))
    with pytest.raises(BudgetSpentError):
        again.assigns_as_a_whole(problem, row)
    assert again.budget.solves == 1, "it had begun"

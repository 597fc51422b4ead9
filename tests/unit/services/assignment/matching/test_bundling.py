"""Bundles: nobody lost, nothing too large, and no parcel later than its limits allow."""

from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.assignment.matching.bundling import Bundled, BundleLimits, bundled
from services.assignment.matching.geography import Metric
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.travel import Travel
from tests.unit.services.assignment.matching.problems import NOW_S

seeds = st.integers(0, 2**32 - 1)
LIMITS = BundleLimits()
SPEED = {2: 6.0, 4: 5.5}


def busy_problem(seed: int, n: int, m: int) -> Problem:
    """n parcels at two shops, two merchants, drops all round."""
    random = np.random.default_rng(seed)
    shops = np.array([[0.0, 0.0], [0.0, 30.0], [3_000.0, 0.0]])
    drop = random.normal(0, 2_500, (n, 2))
    packages = Packages.of(
        [f"package-{i}" for i in range(n)],
        shops[random.integers(0, 3, n)],
        drop,
        weight_g=random.integers(100, 4_000, n),
        volume_cm3=random.integers(100, 9_000, n),
        side_mm=random.integers(100, 400, n),
        merchant=random.integers(0, 2, n),
        pickup_service_s=random.integers(30, 90, n).astype(float),
        drop_service_s=random.integers(30, 90, n).astype(float),
        placed_at_s=NOW_S - random.integers(0, 900, n),
        ready_at_s=NOW_S + random.integers(-300, 1_500, n),
        due_at_s=np.where(random.random(n) < 0.7, NOW_S + random.integers(0, 5_400, n), np.inf),
        vehicle_mask=random.integers(1, 64, n) | np.where(random.random(n) < 0.7, 63, 0),
        declined=np.array([(i, j) for i in range(n) for j in range(m) if random.random() < 0.05])
        .reshape(-1, 2)
        .astype(int),
    )
    partners = Partners.of(
        [f"partner-{j}" for j in range(m)],
        random.normal(0, 2_000, (m, 2)),
        vehicle=random.choice([2, 4], m),
        parcels_left=random.integers(1, 6, m),
        weight_g_left=random.integers(2_000, 20_000, m),
        volume_cm3_left=random.integers(5_000, 60_000, m),
    )
    return Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)


def slow(problem: Problem) -> float:
    return min(SPEED[int(v)] for v in problem.partners.vehicle)


def handovers(problem: Problem, unit: np.ndarray, speed: float) -> list[float]:
    """When each parcel of a tour changes hands, from the moment that the partner leaves the pickup."""
    packages, clock, at, times = problem.packages, 0.0, problem.packages.pickup[unit[0]], []
    for row in unit:
        clock += float(np.hypot(*(packages.drop[row] - at))) / speed
        times.append(clock + packages.drop_service_s[row] / 2)
        clock, at = clock + packages.drop_service_s[row], packages.drop[row]
    return times


def check_unit(problem: Problem, made: Bundled, place: int) -> None:
    packages, units, unit = problem.packages, made.packages, made.members[place]
    for name in ("parcels", "weight_g", "volume_cm3", "cash_on_delivery_paise", "declared_value_paise"):
        assert getattr(units, name)[place] == getattr(packages, name)[unit].sum()
    assert units.side_mm[place] == packages.side_mm[unit].max()
    assert units.ready_at_s[place] == packages.ready_at_s[unit].max()
    assert units.placed_at_s[place] == packages.placed_at_s[unit].min()
    assert (units.drop[place] == packages.drop[unit[0]]).all()
    assert (units.exit[place] == packages.drop[unit[-1]]).all()
    assert int(units.vehicle_mask[place]) == int(np.bitwise_and.reduce(packages.vehicle_mask[unit]))
    assert len(set(packages.merchant[unit])) == 1
    # Hands over to all in time exactly when the first is in time for the unit, with the slowest vehicle.
    times = np.array(handovers(problem, unit, slow(problem)))
    assert np.isclose(units.due_at_s[place], (packages.due_at_s[unit] - (times - times[0])).min()) or np.isinf(
        units.due_at_s[place]
    )
    chain_s = units.chain_m[place] / slow(problem) + units.chain_service_s[place]
    last_s = times[-1] + packages.drop_service_s[unit[-1]] / 2
    assert np.isclose(chain_s, last_s - (times[0] + packages.drop_service_s[unit[0]] / 2))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 30), st.integers(1, 6))
# Parcels wait at two places, and the second one's comes first.
@example(91_321_739, 23, 4)
@example(947_442_328, 26, 5)
def test_bundles_are_whole_small_enough_and_in_time(seed: int, n: int, m: int) -> None:
    problem = busy_problem(seed, n, m)
    packages, partners = problem.packages, problem.partners
    made = bundled(problem, LIMITS)
    assert sorted(int(row) for unit in made.members for row in unit) == list(range(n))
    assert len(made.packages) == len(made.members)
    comes = NOW_S + LIMITS.approach_s
    for place, unit in enumerate(made.members):
        check_unit(problem, made, place)
        if len(unit) == 1:
            continue
        assert len(unit) <= LIMITS.parcels_max
        for name, left in (
            ("parcels", "parcels_left"),
            ("weight_g", "weight_g_left"),
            ("volume_cm3", "volume_cm3_left"),
        ):
            assert getattr(packages, name)[unit].sum() <= np.median(getattr(partners, left))
        assert np.hypot(*(packages.pickup[unit] - packages.pickup[unit[0]]).T).max() <= 2 * LIMITS.pickup_m_max
        latest = packages.ready_at_s[unit].max()
        rides = handovers(problem, unit, slow(problem))
        for row, ride in zip(unit, rides, strict=True):
            (own,) = handovers(problem, np.array([row]), slow(problem))
            assert latest - max(NOW_S, packages.ready_at_s[row]) <= LIMITS.wait_s_max
            assert ride <= LIMITS.ride_factor * own + LIMITS.ride_spare_s
            alone = max(comes, packages.ready_at_s[row]) + own
            assert max(comes, latest) + ride <= max(alone, packages.due_at_s[row])


@given(seeds, st.integers(0, 12))
def test_what_may_not_be_bundled_stays_as_it_is(seed: int, n: int) -> None:
    problem = busy_problem(seed, n, 3)
    made = bundled(problem, replace(LIMITS, parcels_max=1))
    assert made.packages is problem.packages
    assert [unit.tolist() for unit in made.members] == [[row] for row in range(n)]


def test_two_parcels_to_one_street_go_together_and_one_to_the_other_side_does_not() -> None:
    drops = np.array([[2_000.0, 0.0], [-2_000.0, 0.0], [2_100.0, 0.0]])
    packages = Packages.of(["east", "west", "further-east"], np.zeros((3, 2)), drops)
    partners = Partners.of(["asha", "bina"], np.zeros((2, 2)), parcels_left=np.array([4, 4]))
    problem = Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S)
    made = bundled(problem, LIMITS)
    assert [unit.tolist() for unit in made.members] == [[0, 2], [1]]
    assert made.packages.chain_m.tolist() == [100.0, 0.0]


def test_whoever_declined_one_parcel_is_not_asked_for_its_bundle() -> None:
    packages = Packages.of(["one", "two"], np.zeros((2, 2)), np.full((2, 2), 900.0), declined=np.array([[1, 0]]))
    partners = Partners.of(["asha"], np.zeros((1, 2)), parcels_left=np.array([4]))
    made = bundled(Problem(packages, partners, Policy(), Travel(metric=Metric.EUCLIDEAN), NOW_S), LIMITS)
    assert (len(made.packages), made.packages.declined.tolist()) == (1, [[0, 0]])

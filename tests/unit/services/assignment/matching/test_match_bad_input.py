"""Whatever a problem is like, it has a defined answer, or an error that names the column and the row."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from services.assignment.matching.answer import answer
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.problem import PARTNER_PLACES, Packages, Partners, Problem, RuleConfig
from services.assignment.matching.routes import COLUMNS as ROUTE_COLUMNS
from services.assignment.matching.routes import Routes
from tests.unit.services.assignment.matching.problems import random_problem

ROOT = Path(__file__).resolve().parents[5]
PROBLEM = random_problem(11, 12, 12)
ROW = 7
LAID_OUT = ("slot_offsets", "slot_start_s", "slot_end_s", "zone_offsets", "zone_cell", "zone_precision")
COLUMNS = [
    (table, column.name)
    for table, kind in (("packages", Packages), ("partners", Partners))
    for column in fields(kind)
    if column.name not in {*LAID_OUT, "ids", "declined", "routes"} and not column.name.startswith("merchants_")
]
MAY_BE_INFINITE = {"due_at_s", "left_out_cost_s"}
PLACES = {"pickup", "drop", "exit", *PARTNER_PLACES}
# A million partners need tens of megabytes as columns; all of their pairs would need 1,600.
MILLION = """
import resource, sys
import numpy as np
from services.assignment.matching.match import match
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Metric
from services.assignment.matching.travel import Travel

random = np.random.default_rng(6)
def peak_mb(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
pickup, place = random.normal(0, 9_000, (200, 2)), random.normal(0, 9_000, (1_000_000, 2))
# So many want the same few that neighbourhoods have to grow.
pickup[:100] = random.normal(0, 5, (100, 2))
packages = Packages.of([str(i) for i in range(200)], pickup, pickup)
partners = Partners.of([str(j) for j in range(len(place))], place, vehicle=random.integers(1, 4, len(place)),
                       parcels_left=random.integers(0, 2, len(place)))
problem = Problem(packages, partners, Policy(), Travel(Metric.EUCLIDEAN), 1.7e9)
before_mb = peak_mb()
result = match(problem)
grown_mb = peak_mb() - before_mb
assert result.optimal and (result.partner >= 0).all()
u, v = result.certificate.package_ms, result.certificate.partner_ms
everyone = np.arange(len(place))
for row in range(0, 200, 25):
    cost_ms = result.book.price(problem, Edges(problem, np.full(len(place), row), everyone)).cost_ms
    assert (u[row] + v <= cost_ms)[partners.units_max > 0].all()
assert result.edges_priced < 2_000_000, result.edges_priced
assert grown_mb < 200, grown_mb
"""


def column_error(table: str, name: str, value: float) -> ProblemError:
    """What is said of the problem with this value in a row of the column."""
    columns = getattr(PROBLEM, table)
    values = getattr(columns, name).astype(float)
    values[ROW] = value
    with pytest.raises(ProblemError) as refused:
        replace(columns, **{name: values})
    return refused.value


@pytest.mark.parametrize(("table", "name"), COLUMNS)
def test_a_number_that_is_none_is_refused_by_column_and_row(table: str, name: str) -> None:
    wrong = [np.nan, *([-np.inf] if name not in PLACES else [np.inf])]
    wrong += [] if name in MAY_BE_INFINITE else [np.inf]
    wrong += [] if name in PLACES else [-1.0]
    for value in wrong:
        error = column_error(table, name, value)
        assert (error.field, error.row) == (name, ROW)


@pytest.mark.parametrize(("table", "name"), COLUMNS)
def test_a_column_of_another_length_is_refused_by_name(table: str, name: str) -> None:
    columns = getattr(PROBLEM, table)
    with pytest.raises(ProblemError) as refused:
        replace(columns, **{name: getattr(columns, name)[:-1]})
    assert refused.value.field == name


def test_what_is_laid_out_is_refused_by_column_and_the_row_of_its_owner() -> None:
    partners, owner = PROBLEM.partners, int(np.argmax(np.diff(PROBLEM.partners.slot_offsets)))
    place = int(partners.slot_offsets[owner])
    for name in LAID_OUT:
        with pytest.raises(ProblemError) as refused:
            replace(partners, **{name: getattr(partners, name)[:-1]})
        assert refused.value.row is None
    for name in ("slot_start_s", "slot_end_s"):
        times = getattr(partners, name).copy()
        times[place] = np.nan
        with pytest.raises(ProblemError) as refused:
            replace(partners, **{name: times})
        assert (refused.value.field, refused.value.row) == (name, owner)


@pytest.mark.parametrize("name", ROUTE_COLUMNS)
def test_a_stop_that_is_no_stop_is_refused_by_column_and_the_row_of_its_partner(name: str) -> None:
    stops = np.full(3, 1.0)
    offsets = np.array([0] * ROW + [1] + [3] * (len(PROBLEM.partners) - ROW))
    columns = dict.fromkeys(ROUTE_COLUMNS, stops) | {"place": np.full((3, 2), 12.0)}
    replace(PROBLEM.partners, routes=Routes(offsets, **columns))
    columns[name] = columns[name].copy()
    columns[name][2] = np.nan
    with pytest.raises(ProblemError) as refused:
        replace(PROBLEM.partners, routes=Routes(offsets, **columns))
    assert (refused.value.field, refused.value.row) == (f"routes.{name}", ROW)
    columns[name] = columns[name][:2]
    with pytest.raises(ProblemError, match="has 2 rows, routes lay out 3"):
        replace(PROBLEM.partners, routes=Routes(offsets, **columns))


@pytest.mark.parametrize("table", ["packages", "partners"])
def test_an_id_that_stands_twice_is_refused_by_its_second_row(table: str) -> None:
    columns = getattr(PROBLEM, table)
    with pytest.raises(ProblemError, match="'again' stands twice") as refused:
        replace(columns, ids=["again", *columns.ids[1:ROW], "again", *columns.ids[ROW + 1 :]])
    assert (refused.value.field, refused.value.row) == ("id", ROW)


@pytest.mark.parametrize(("table", "name"), [("packages", "pickup"), ("packages", "drop"), ("partners", "place")])
def test_a_place_off_the_earth_is_refused_by_column_and_row(table: str, name: str) -> None:
    columns = getattr(PROBLEM, table)
    places = getattr(columns, name).copy()
    places[ROW] = (0.0, 180.5)
    with pytest.raises(ProblemError, match="no place on earth") as refused:
        replace(PROBLEM, **{table: replace(columns, **{name: places})})
    assert (refused.value.field, refused.value.row) == (name, ROW)


def nobody_takes_any(problem: Problem, reason: str) -> None:
    """The answer is that every package stays, for this reason, and that nothing better exists."""
    result, explanations = answer(problem)
    n, m = len(problem.packages), len(problem.partners)
    assert result.partner.tolist() == [-1] * n
    assert result.optimal
    assert (result.total_cost_s, result.lower_bound_s) == (0.0, 0.0)
    assert {(e.outcome, e.reason, e.partners_feasible) for e in explanations} == {("NO_FEASIBLE_PARTNER", reason, 0)}
    assert all(sum(e.partners_lost.values()) == m for e in explanations)


def test_without_any_room_left_every_package_stays_and_says_so() -> None:
    empty = np.zeros(len(PROBLEM.partners), dtype=np.int64)
    fitting = replace(PROBLEM.packages, vehicle_mask=np.full(12, 63), side_mm=np.zeros(12, dtype=np.int64))
    full = replace(PROBLEM.partners, parcels_left=empty, units_max=empty)
    nobody_takes_any(replace(PROBLEM, packages=fitting, partners=full), "NO_PARCELS_LEFT")
    weak = replace(PROBLEM.partners, weight_g_left=empty, parcels_left=empty + 5, units_max=empty + 5)
    nobody_takes_any(replace(PROBLEM, packages=fitting, partners=weak), "TOO_HEAVY")


def test_without_any_feasible_pair_every_package_stays_and_says_so() -> None:
    everywhere = np.array([(i, j) for i in range(12) for j in range(12)])
    off = {name: RuleConfig(enabled=False) for name in ("vehicle", "side", "shift", "outside_zones")}
    policy = replace(PROBLEM.policy, rules=off, pickup_distance_m_max=1e6)
    roomy = {name: np.full(12, 10**9) for name in ("parcels_left", "units_max", "weight_g_left", "volume_cm3_left")}
    partners = replace(PROBLEM.partners, **roomy)
    declined = replace(
        PROBLEM, packages=replace(PROBLEM.packages, declined=everywhere), partners=partners, policy=policy
    )
    nobody_takes_any(declined, "DECLINED_BEFORE")
    far = replace(PROBLEM.partners, place=PROBLEM.partners.place - 40.0, **roomy)
    packages = replace(PROBLEM.packages, declined=np.zeros((0, 2), dtype=np.int64))
    policy = replace(policy, pickup_distance_m_max=8_000.0)
    nobody_takes_any(replace(PROBLEM, packages=packages, partners=far, policy=policy), "TOO_FAR")


def test_a_million_partners_are_matched_in_bounded_memory() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "libs" / "api")])}
    done = subprocess.run([sys.executable, "-c", MILLION], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr

"""Scenario folders: what is read, and what each kind of malformed file is answered with."""

from pathlib import Path

import numpy as np
import pytest

from cli.simulate.scenario import ScenarioError, read_scenario
from services.assignment.matching.horizon.day import NO_LIMIT
from tests.scenarios import write_rows, write_scenario, write_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scenario that a test may break."""
    return write_scenario(tmp_path / "scenario", orders=5, partners=3, pickups=2, limits=True)


def test_columns_become_arrays_and_what_is_not_limited_is_unlimited(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "scenario", orders=5, partners=3, pickups=2)
    scenario = read_scenario(folder)
    day = scenario.day
    assert scenario.order_ids == ("o0", "o1", "o2", "o3", "o4")
    assert day.drop_place.shape == (5, 2)
    assert (day.due_min == day.placed_min + 40).all()
    assert (day.latest_min == day.placed_min + 90).all()
    assert (day.parcels_max == NO_LIMIT).all()
    assert not day.capacitated


def test_a_due_time_of_its_own_replaces_the_target(folder: Path) -> None:
    day = read_scenario(folder).day
    assert day.capacitated
    assert not np.array_equal(day.due_min, day.placed_min + 40)


def test_degrees_are_latitude_and_longitude(tmp_path: Path) -> None:
    day = read_scenario(write_scenario(tmp_path / "s", metric="haversine")).day
    apart = day.distance_m(np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert apart[0] == pytest.approx(111_195, abs=1)


def test_nobody_and_nothing_are_fine(tmp_path: Path) -> None:
    scenario = read_scenario(write_scenario(tmp_path / "s", orders=0, partners=0))
    assert scenario.order_ids == scenario.partner_ids == ()
    assert scenario.day.drop_place.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "manhattan"}, "metric: 'manhattan' is none of euclidean, haversine"),
        ({"speed_m_per_min": 0}, "speed_m_per_min: 0 must be above 0"),
        ({"speed_m_per_min": "fast"}, "speed_m_per_min: 'fast' is not a number"),
        ({"pickup_service_min": -1}, "pickup_service_min: -1 must not be below 0"),
        ({"pay_per_delivery_minor": 10.5}, "pay_per_delivery_minor: 10.5 is not a whole number"),
        ({"reposition": 1}, "reposition: 1 is neither true nor false"),
        ({"service_max_min": 30.0}, "service_max_min: 30.0 is below service_target_min"),
        ({"service_target_min": None}, "service_target_min is missing; add a line"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(folder: Path, change: dict[str, object], said: str) -> None:
    write_settings(folder, **change)
    with pytest.raises(ScenarioError, match=r"scenario\.toml") as caught:
        read_scenario(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("orders.csv", "o1,", "o0,", "row 3, column order_id: 'o0' is in row 2 already"),
        ("orders.csv", "o1,", ",", "row 3, column order_id: '' is empty"),
        ("orders.csv", "order_id,x", "order_id,lat", "row 1: the header lacks x"),
        ("orders.csv", "order_id,x,y", "order_id,x,x", "row 1: the header lacks y"),
        ("partners.csv", "c1,", 'c1,"', "is not CSV"),
        ("partners.csv", "c1,", "c1,7,", "row 3: has 9 values, the header 8"),
        ("pickups.csv", "p1,", "p1,north,", "has 4 values"),
    ],
)
def test_a_bad_row_is_named_with_what_to_do(folder: Path, file: str, old: str, new: str, said: str) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ScenarioError) as caught:
        read_scenario(folder)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("x", "north", "is not a number; write digits"),
        ("y", "nan", "is not between"),
        ("x", "", "is not a number"),
        ("pickup_id", "p9", "is not in pickups.csv; add it there"),
        ("placed_min", "1e99", "is not between"),
        ("ready_min", "1", "is before placed_min"),
        ("weight_g", "1.5", "is not a whole number"),
        ("weight_g", "-1", "is not between 0"),
        ("due_min", "2", "is before placed_min"),
    ],
)
def test_a_bad_value_is_named_with_file_row_and_column(tmp_path: Path, column: str, value: str, said: str) -> None:
    folder = write_scenario(tmp_path / "scenario", orders=1, partners=1, pickups=1)
    names = ["order_id", "x", "y", "pickup_id", "placed_min", "ready_min", "weight_g", "due_min"]
    row = ["o0", "0", "0", "p0", "600", "610", "", ""]
    row[names.index(column)] = value
    write_rows(folder / "orders.csv", ",".join(names), [tuple(row)])
    with pytest.raises(ScenarioError) as caught:
        read_scenario(folder)
    assert f"orders.csv: row 2, column {column}: {value!r} {said}" in str(caught.value)


def test_a_shift_that_ends_before_it_begins_is_refused(folder: Path) -> None:
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min", [("c0", 0, 0, 700, 100)])
    with pytest.raises(ScenarioError, match=r"row 2, column off_min: '100' is before on_min"):
        read_scenario(folder)


def test_files_that_are_missing_or_no_text_are_named(folder: Path) -> None:
    (folder / "pickups.csv").write_bytes(b"pickup_id,x,y\n\xff\xfe,1,2\n")
    with pytest.raises(ScenarioError, match=r"pickups\.csv: is not UTF-8 text"):
        read_scenario(folder)
    (folder / "pickups.csv").unlink()
    with pytest.raises(ScenarioError, match=r"pickups\.csv: No such file or directory; a scenario is a folder of"):
        read_scenario(folder)
    (folder / "scenario.toml").write_text("metric = ")
    with pytest.raises(ScenarioError, match="is not TOML"):
        read_scenario(folder)

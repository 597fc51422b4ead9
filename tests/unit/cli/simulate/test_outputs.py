"""The files of a run: names of places, numbers as text, money without floats."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cli.simulate.outputs import Places, measures, number, shared_measures, write_outputs
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import Scenario, read_scenario
from tests.scenarios import write_rows, write_scenario


def test_numbers_read_as_what_they_were() -> None:
    assert number(12.0) == "12"
    for value in (0.1 + 0.2, 1 / 3, 601.583333, -0.5):
        assert float(number(value)) == value


def test_places_are_called_by_their_ids_unless_one_could_mean_two(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s", orders=1, partners=1, pickups=1)
    assert Places(read_scenario(folder)).name("order", 0) == "o0"
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min", [("o0", 0, 0, 0, 1)])
    places = Places(read_scenario(folder))
    assert [places.name(kind, 0) for kind in ("order", "partner", "pickup")] == ["order:o0", "partner:o0", "pickup:p0"]
    assert set(places.coordinates()) == {"order:o0", "partner:o0", "pickup:p0"}


def measured(scenario: Scenario, drops: list[float], by: list[int]) -> dict[str, object]:
    """Return the summary of orders dropped at these times by these partners."""
    drop = np.array(drops)
    return measures(scenario, drop, drop - 10, np.array(by), visits=2, distance_m=0.0)


def test_a_partner_earns_deliveries_or_the_guarantee_to_the_minor_unit(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s", orders=0, partners=0)
    orders = [(f"o{i}", 0, 0, "p0", 0, 0) for i in range(3)]
    write_rows(folder / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min", orders)
    # 40.02 minutes at 1,500 an hour are 1,000.5, and 40.01 are 1,000.25.
    partners = [("c0", 0, 0, 0, "40.02"), ("c1", 0, 0, "0.01", "40.02"), ("c2", 0, 0, 0, 60)]
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min", partners)
    summary = measured(read_scenario(folder), [20, 30, 91], [2, 2, 2])
    assert summary["delivered"] == 2
    assert summary["undelivered"] == 1
    assert summary["pay_total_minor"] == 1001 + 1000 + 2000
    assert summary["pay_per_delivery_exact"] == "4001/2"
    assert summary["pay_per_delivery_minor"] == 2000.5
    assert summary["click_to_door_mean_min"] == 25
    assert summary["ready_to_pickup_mean_min"] == 15
    assert summary["lateness_mean_min"] == 0


@pytest.mark.parametrize(("orders", "partners"), [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("policy", list(PolicyName))
def test_an_empty_side_is_an_answer(tmp_path: Path, orders: int, partners: int, policy: PolicyName) -> None:
    folder = write_scenario(tmp_path / "s", orders=orders, partners=partners)
    scenario = read_scenario(folder)
    summary = write_outputs(tmp_path / "out", folder, scenario, simulate(scenario, policy), timings=False)
    assert (summary["orders"], summary["delivered"], summary["undelivered"]) == (orders, 0, orders)
    assert summary["click_to_door_mean_min"] is None
    assert summary["pay_per_delivery_minor"] is None


def test_times_of_the_solver_are_written_only_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s")
    scenario = read_scenario(folder)
    world = simulate(scenario, PolicyName.SHIPPED)
    for timings in (False, True):
        write_outputs(tmp_path / "out", folder, scenario, world, timings=timings)
        with (tmp_path / "out" / "windows.csv").open(newline="") as file:
            assert any(float(row["solve_ms"]) > 0 for row in csv.DictReader(file)) is timings


def test_over_the_orders_that_all_deliver_nobody_gains_by_giving_up(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s", orders=0, partners=0)
    orders = [(f"o{i}", 0, 0, "p0", 0, 0) for i in range(3)]
    write_rows(folder / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min", orders)
    day = read_scenario(folder).day
    all_three, quick_ones = np.array([20.0, 50.0, 80.0]), np.array([20.0, 60.0, np.nan])
    assert shared_measures(day, [all_three, quick_ones]) == [
        {"shared_orders": 2, "shared_click_to_door_mean_min": 35.0, "shared_lateness_mean_min": 5.0},
        {"shared_orders": 2, "shared_click_to_door_mean_min": 40.0, "shared_lateness_mean_min": 10.0},
    ]

"""What no policy can pass: no run of any passes it, and it can be reached."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.simulate.floor import floor_measures, soonest_drops
from cli.simulate.outputs import delivered_by, summarize
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.scenarios import write_rows, write_scenario

MEASURES = ("undelivered", "every_order_click_to_door_mean_min", "every_order_lateness_mean_min")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    policy=st.sampled_from(list(PolicyName)),
    orders=st.integers(1, 30),
    partners=st.integers(1, 30),
    metric=st.sampled_from(["euclidean", "haversine"]),
    limits=st.booleans(),
    reposition=st.booleans(),
)
def test_nobody_passes_it(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    policy: PolicyName,
    orders: int,
    partners: int,
    metric: str,
    limits: bool,
    reposition: bool,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    write_scenario(folder, seed, orders, partners, limits=limits, metric=metric, reposition=reposition)
    scenario = read_scenario(folder)
    world = simulate(scenario, policy)
    drops = delivered_by(world)
    assert not (drops < soonest_drops(scenario.day) - 1e-9).any()
    summary, floor = summarize(scenario, world), floor_measures(scenario.day)
    for measure in MEASURES:
        assert summary[measure] >= floor[measure] - 1e-6


def test_it_is_reached_where_orders_do_not_compete(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s", orders=0, partners=0, pickups=0, round_travel_to_min=False)
    write_rows(folder / "pickups.csv", "pickup_id,x,y", [("near", 0, 0), ("far", 100_000, 0)])
    # The first waits for its goods, the second for its partner to come on duty, and the last one is too late for all.
    orders = [("o0", 320, 0, "near", 0, 30), ("o1", 640, 0, "near", 35, 40), ("o2", 100_000, 320, "far", 0, 0)]
    write_rows(folder / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min", orders)
    partners = [("c0", 320, 0, 0, 40), ("c1", 0, 3200, 50, 90)]
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min", partners)
    scenario = read_scenario(folder)
    # Of o0: ready at 30, two minutes, a minute's ride, two minutes. Of o1: on at 50, ten minutes' way.
    np.testing.assert_allclose(soonest_drops(scenario.day), [35, 50 + 10 + 2 + 2 + 2 + 2, np.inf])
    summary, floor = summarize(scenario, simulate(scenario, PolicyName.SHIPPED)), floor_measures(scenario.day)
    assert {name: summary[name] for name in floor} == floor


def test_without_partners_everything_is_lost(tmp_path: Path) -> None:
    day = read_scenario(write_scenario(tmp_path / "s", orders=3, partners=0)).day
    assert floor_measures(day) == {
        "undelivered": 3,
        "click_to_door_mean_min": None,
        "lateness_mean_min": None,
        "every_order_click_to_door_mean_min": 90.0,
        "every_order_lateness_mean_min": 50.0,
    }

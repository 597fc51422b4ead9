"""The world lets no policy break its rules, and runs visits as the scenario says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.simulate.scenario import read_scenario
from cli.simulate.world import RuleBrokenError, World
from services.assignment.matching.horizon.day import Day
from services.assignment.matching.horizon.situation import Decisions, Move, Situation, Take
from tests.scenarios import write_rows, write_scenario


class Scripted:
    """Decides what a function says."""

    window_min = 1.0
    urgent_min = -np.inf

    def __init__(self, decide: Callable[[Situation], Decisions]) -> None:
        self.decide = decide
        self.seen: list[Situation] = []


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """Two pickups; o0 and o1 from the first, o2 from the second; c0 carries two, c1 comes on duty at 30."""
    folder = write_scenario(tmp_path / "s", orders=0, partners=0, round_travel_to_min=True)
    write_rows(folder / "pickups.csv", "pickup_id,x,y", [("p0", 320, 0), ("p1", 0, 640)])
    orders = [("o0", 640, 0, "p0", 0, 10), ("o1", 960, 0, "p0", 1, 4), ("o2", 0, 960, "p1", 0, 0)]
    write_rows(folder / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min", orders)
    partners = [("c0", 0, 0, 0, 60, 2), ("c1", 0, 0, 30, 90, 1)]
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min,max_parcels", partners)
    return read_scenario(folder).day


def run(day: Day, script: dict[float, Decisions]) -> World:
    """Run a world whose decisions are scripted by the minute."""
    world = World(day, Scripted(lambda seen: script.get(seen.now_min, Decisions())))
    world.run()
    return world


def test_a_visit_waits_for_the_goods_and_dwells_before_and_after(day: Day) -> None:
    (visit,) = run(day, {0.0: Decisions([Take(0, (0,))])}).visits
    assert (visit.depart_min, visit.arrive_min, visit.goods_min) == (0, 1, 10)
    assert visit.drops_min == [10 + 2 + 1 + 2]
    assert visit.end_min == 17


def test_what_is_added_before_the_goods_leave_shares_the_dwell(day: Day) -> None:
    (visit,) = run(day, {0.0: Decisions([Take(0, (0,))]), 5.0: Decisions([Take(0, (0, 1), more=True)])}).visits
    assert (visit.orders, visit.goods_min, visit.drops_min) == ([0, 1], 10, [15, 20])


def test_trips_follow_one_another(day: Day) -> None:
    first, second = run(day, {0.0: Decisions([Take(0, (0,)), Take(0, (2,))])}).visits
    assert second.depart_min == first.end_min == 17
    assert second.arrive_min == 17 + np.ceil(np.hypot(640, 640) / 320)


def test_nothing_is_seen_before_it_is_placed_or_on_duty(day: Day) -> None:
    seen: dict[float, Situation] = {}

    def watch(situation: Situation) -> Decisions:
        seen[situation.now_min] = situation
        return Decisions()

    World(day, Scripted(watch)).run()
    assert seen[0].orders.tolist() == [0, 2]
    assert seen[1].orders.tolist() == [0, 2, 1]
    assert seen[29].partners.tolist() == [0]
    assert seen[30].partners.tolist() == [0, 1]
    assert seen[60].partners.tolist() == [1]


def test_an_order_that_can_no_longer_be_in_time_is_given_up(day: Day) -> None:
    seen: list[list[int]] = []

    def watch(situation: Situation) -> Decisions:
        seen.append(situation.orders.tolist())
        return Decisions()

    world = World(day, Scripted(watch))
    world.run()
    assert np.isnan(world.decided_min).all()
    # From 86 on, no partner could be at the door of an order of minute 1 by 91.
    assert len(seen) < 91


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({0.0: Decisions([Take(0, (1,))])}, "order 1 is not open"),
        ({0.0: Decisions([Take(0, (0,))]), 1.0: Decisions([Take(0, (0,))])}, "order 0 is not open"),
        ({0.0: Decisions([Take(1, (0,))])}, "partner 1 is off duty"),
        ({0.0: Decisions([Take(0, (0, 2))])}, "a visit is to one pickup"),
        ({59.0: Decisions([Take(0, (0,))])}, "off duty"),
        ({30.0: Decisions([Take(1, (0, 1))])}, "2 is more than 1"),
        ({0.0: Decisions([Take(0, (0,))]), 10.0: Decisions([Take(0, (0, 1), more=True)])}, "can be given this"),
        ({0.0: Decisions([Take(0, (0,))]), 5.0: Decisions([Take(0, (1,), more=True)])}, "can be given this"),
        ({0.0: Decisions(moves=[Move(0, 0)])}, "does not let idle partners"),
    ],
)
def test_a_decision_that_breaks_a_rule_is_refused(day: Day, script: dict[float, Decisions], said: str) -> None:
    with pytest.raises(RuleBrokenError, match=said):
        run(day, script)


def test_an_idle_partner_may_be_sent_to_a_pickup_where_that_is_allowed(tmp_path: Path) -> None:
    day = read_scenario(write_scenario(tmp_path / "s", orders=3, partners=1, reposition=True)).day
    start = float(day.placed_min.min())
    on_duty = max(start, float(np.ceil(day.on_min[0])))
    world = run(day, {on_duty: Decisions(moves=[Move(0, 1)])})
    (move,) = world.repositionings
    assert move.arrive_min == on_duty + day.travel_min(day.start_place[0], day.pickup_place[1])
    with pytest.raises(RuleBrokenError, match="is not idle"):
        run(day, {on_duty: Decisions(moves=[Move(0, 1), Move(0, 2)])})

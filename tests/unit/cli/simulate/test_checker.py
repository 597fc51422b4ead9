"""The checker accepts what the simulator does, whatever the scenario, and refuses each rule's violation by name."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.simulate.checker import Checker, OutputsError
from cli.simulate.outputs import write_outputs
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.scenarios import write_rows, write_scenario

Rows = list[dict[str, str]]


def run(folder: Path, out: Path, policy: PolicyName = PolicyName.SHIPPED) -> Path:
    """Simulate a scenario into `out`."""
    scenario = read_scenario(folder)
    write_outputs(out, folder, scenario, simulate(scenario, policy), timings=False)
    return out


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    policy=st.sampled_from(list(PolicyName)),
    orders=st.integers(0, 40),
    partners=st.integers(0, 9),
    metric=st.sampled_from(["euclidean", "haversine"]),
    limits=st.booleans(),
    reposition=st.booleans(),
    service_min=st.sampled_from([0.0, 1.5, 4.0]),
)
def test_whatever_is_simulated_keeps_every_rule(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    policy: PolicyName,
    orders: int,
    partners: int,
    metric: str,
    limits: bool,
    reposition: bool,
    service_min: float,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    write_scenario(
        folder / "in", seed, orders, partners, limits=limits, metric=metric, reposition=reposition,
        pickup_service_min=service_min, dropoff_service_min=service_min,
    )  # fmt: skip
    assert Checker(run(folder / "in", folder / "out", policy)).findings == []


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one partner's three trips, the second with two orders; times are easy to follow.

    c1 takes o1 at 4 (ready 10), drops it at 21; o2 and o3 together; o4 is its last. Ways are of whole minutes.
    """
    folder = tmp_path_factory.mktemp("pristine")
    write_scenario(folder / "in", orders=0, partners=0, round_travel_to_min=True)
    write_rows(folder / "in" / "pickups.csv", "pickup_id,x,y", [("p1", 640, 0), ("p2", 0, 640)])
    orders = [
        ("o1", 3200, 0, "p1", 0, 10, 100, 100), ("o2", 0, 3200, "p2", 5, 12, 100, 100),
        ("o3", 0, 3520, "p2", 5, 12, 100, 100), ("o4", 640, 960, "p1", 30, 40, 100, 100),
    ]  # fmt: skip
    write_rows(folder / "in" / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min,weight_g,volume_cm3", orders)
    partners = [("c1", 0, 0, 0, 200, 2, 250, 250), ("c2", 99_000, 99_000, 0, 200, 2, 250, 250)]
    header = "partner_id,x,y,on_min,off_min,max_parcels,max_weight_g,max_volume_cm3"
    write_rows(folder / "in" / "partners.csv", header, partners)
    return run(folder / "in", folder / "out")


@pytest.fixture
def out(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    import shutil

    return Path(shutil.copytree(pristine, tmp_path / "out"))


def edit(path: Path, change: Callable[[Rows], Any]) -> None:
    """Rewrite a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def one(rows: Rows, **wanted: str) -> dict[str, str]:
    """Return the row with these values."""
    (found,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return found


def broken(out: Path, file: str, change: Callable[[Rows], Any]) -> str:
    """Break a file of the outputs; return what the checker says."""
    edit(out / file, change)
    return "\n".join(Checker(out).findings)


def test_the_pristine_outputs_bundle_and_keep_every_rule(pristine: Path) -> None:
    assert Checker(pristine).findings == []
    summary = json.loads((pristine / "summary.json").read_text())
    assert (summary["delivered"], summary["visits"]) == (4, 3)


@pytest.mark.parametrize(
    ("order", "column", "value", "said"),
    [
        ("o4", "decided_min", "29", "before the order was placed"),
        ("o4", "decided_min", "201", "when the partner is off duty"),
        ("o4", "decided_min", "199", "given to a visit that had left its pickup"),
        ("o4", "decided_min", "30.5", "when there was no window"),
        ("o4", "pickup_min", "39", "before the goods are ready"),
        ("o4", "pickup_min", "300", "not before the partner goes off duty"),
        ("o1", "dropoff_min", "1", "the move allows"),
        ("o1", "partner_id", "c2", "no move of the partner brings the order to its door"),
        ("o2", "order_id", "o3", "an order is taken once"),
    ],
)
def test_an_assignment_that_breaks_a_rule_is_refused(out: Path, order: str, column: str, value: str, said: str) -> None:
    assert said in broken(out, "assignments.csv", lambda rows: one(rows, order_id=order).update({column: value}))


@pytest.mark.parametrize(
    ("target", "change", "said"),
    [
        ("o1", {"from": "p2"}, "leaves from p2, but the partner is at p1"),
        ("o1", {"arrive_min": "14"}, "though the way takes 8 minutes"),
        ("o1", {"depart_min": "11", "arrive_min": "19"}, "leaves the pickup at 11, not at"),
        ("o2", {"depart_min": "1"}, "before it is there or on duty"),
        ("o2", {"to": "o4"}, "goes to the door of an order that is not on board"),
        ("o3", {"depart_min": "0"}, "before the dwell is over"),
    ],
)
def test_a_move_that_breaks_a_rule_is_refused(out: Path, target: str, change: dict[str, str], said: str) -> None:
    assert said in broken(out, "moves.csv", lambda rows: one(rows, to=target).update(change))


def test_goods_that_do_not_fit_are_refused(out: Path) -> None:
    for limit, said in (("1,250,250", "2 parcels"), ("2,150,250", "200 g"), ("2,250,150", "200 cm3")):
        partners = out / "scenario" / "partners.csv"
        before = partners.read_text()
        partners.write_text(before.replace("c1,0,0,0,200,2,250,250", f"c1,0,0,0,200,{limit}"))
        assert f"{said} are on board" in "\n".join(Checker(out).findings)
        partners.write_text(before)


def test_a_way_without_an_order_is_refused_where_repositioning_is(out: Path) -> None:
    def wander(rows: Rows) -> None:
        last = rows[-1]["to"]
        rows.append({"partner_id": "c1", "depart_min": "150", "from": last, "to": "p2", "arrive_min": "151"})

    assert "without an order, which the scenario does not allow" in broken(out, "moves.csv", wander)


def test_a_move_to_a_pickup_off_duty_is_refused(out: Path) -> None:
    toml = out / "scenario" / "scenario.toml"
    toml.write_text(toml.read_text().replace("reposition = false", "reposition = true"))

    def wander(rows: Rows) -> None:
        last = rows[-1]["to"]
        rows.append({"partner_id": "c1", "depart_min": "250", "from": last, "to": "p1", "arrive_min": "253"})

    assert "when the partner is off duty" in broken(out, "moves.csv", wander)


def test_leaving_the_pickup_before_the_goods_are_there_is_refused(out: Path) -> None:
    def hurry(rows: Rows) -> None:
        one(rows, order_id="o1")["pickup_min"] = "12"

    assert "the visit allows 10" in broken(out, "assignments.csv", hurry)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"at_min": "0"}, "not after the window before it"), ({"lower_bound": "99999"}, "is above the cost")],
)
def test_a_window_that_contradicts_itself_is_refused(out: Path, change: dict[str, str], said: str) -> None:
    assert said in broken(out, "windows.csv", lambda rows: rows[-1].update(change))


def test_every_number_of_the_summary_is_recomputed(out: Path) -> None:
    path = out / "summary.json"
    summary = json.loads(path.read_text())
    for name, value in summary.items():
        path.write_text(json.dumps(summary | {name: "7/3" if isinstance(value, str) else (value or 0) + 1}))
        assert [finding.split()[1] for finding in Checker(out).findings] == [name]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("moves.csv", "c1,", "c9,", "'c9' is not in the scenario"),
        ("moves.csv", ",p1,", ",p9,", "'p9' is not in the scenario"),
        ("assignments.csv", "c1,o1", "c1,o9", "'o9' is not in the scenario"),
        ("assignments.csv", "decided_min", "decided", "the header is not decided_min"),
        ("windows.csv", "0.000", "nan,0", "has not 7 values"),
        ("summary.json", "{", "[", "cannot be read"),
    ],
)
def test_outputs_that_cannot_be_read_are_named(out: Path, file: str, old: str, new: str, said: str) -> None:
    path = out / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(OutputsError, match=file) as caught:
        Checker(out)
    assert said in str(caught.value)


def test_a_number_that_is_none_is_refused(out: Path) -> None:
    edit(out / "assignments.csv", lambda rows: rows[0].update({"pickup_min": "nan"}))
    with pytest.raises(OutputsError, match="'nan' is not a number"):
        Checker(out)

"""Whoever forges outputs is found out, even where the summary is forged to fit."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.simulate.checker import Checker
from cli.simulate.outputs import ASSIGNMENTS, MOVES, SUMMARY, WINDOWS, write_outputs
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.scenarios import write_rows, write_scenario

Row = dict[str, str]
Rows = list[Row]
Forgery = Callable[[Rows, int], None]


def shift(minutes: float, *columns: str) -> Forgery:
    """Return what moves times of a row."""

    def forge(rows: Rows, at: int) -> None:
        for column in columns:
            rows[at][column] = repr(float(rows[at][column]) + minutes)

    return forge


def swap(*columns: str) -> Forgery:
    """Return what exchanges values with the nearest row that has others."""

    def forge(rows: Rows, at: int) -> None:
        others = (row for row in rows[at:] + rows[:at] if any(row[column] != rows[at][column] for column in columns))
        other = next(others)
        for column in columns:
            rows[at][column], other[column] = other[column], rows[at][column]

    return forge


def drop(rows: Rows, at: int) -> None:
    """Leave the row out."""
    del rows[at]


def repeat(rows: Rows, at: int) -> None:
    """Have the row twice."""
    rows.insert(at, dict(rows[at]))


def divert(rows: Rows, at: int) -> None:
    """Turn the partner away from where it goes: to where it goes after that, at once."""
    if at + 1 < len(rows) and rows[at + 1]["partner_id"] == rows[at]["partner_id"]:
        rows[at]["to"] = rows[at + 1]["to"]
        rows[at]["arrive_min"] = rows[at + 1]["arrive_min"]
        del rows[at + 1]
    else:
        rows[at]["to"] = rows[at]["from"]


FORGERIES: dict[str, dict[str, Forgery]] = {
    ASSIGNMENTS: {
        "another partner": swap("partner_id"), "another order": swap("order_id"),
        "another's times": swap("pickup_min", "dropoff_min"), "long before": shift(-300, "decided_min"),
        "between windows": shift(0.37, "decided_min"), "picked up sooner": shift(-1, "pickup_min"),
        "picked up later": shift(1, "pickup_min"), "dropped sooner": shift(-1, "dropoff_min"),
        "dropped later": shift(1, "dropoff_min"), "all sooner": shift(-2, "pickup_min", "dropoff_min"),
        "left out": drop, "twice": repeat,
    },
    MOVES: {
        "another partner": swap("partner_id"), "another target": swap("to"), "another origin": swap("from"),
        "leaves sooner": shift(-1, "depart_min"), "arrives sooner": shift(-1, "arrive_min"),
        "both sooner": shift(-60, "depart_min", "arrive_min"), "both later": shift(60, "depart_min", "arrive_min"),
        "left out": drop, "twice": repeat, "diverted": divert,
    },
    WINDOWS: {
        "left out": drop, "twice": repeat, "fewer orders": shift(-1000, "orders"), "more orders": shift(1000, "orders"),
        "more partners": shift(1, "partners"), "a bound above the cost": shift(1000, "lower_bound"),
    },
}  # fmt: skip


def read(path: Path) -> Rows:
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Rows, columns: list[str]) -> None:
    """Write the rows of a CSV file."""
    write_rows(path, ",".join(columns), [tuple(row.values()) for row in rows])


def findings(out: Path) -> list[str]:
    """Forge the summary so that it says what the rows give; return what else the checker finds."""
    found = Checker(out).findings
    path = out / SUMMARY
    said = json.loads(path.read_text())
    for finding in found:
        given = re.fullmatch(rf"{SUMMARY}: (\w+) is .*, but the outputs give (.*)", finding)
        if given:
            number = isinstance(said[given[1]], int | float)
            said[given[1]] = json.loads(given[2]) if number else given[2]
    path.write_text(json.dumps(said))
    return Checker(out).findings


@pytest.fixture(scope="module", params=[True, False], ids=["reposition", "no repositioning"])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contended day with bundles and limits, and its outputs."""
    folder = tmp_path_factory.mktemp("attacked")
    write_scenario(folder / "in", 7, 14, 3, 2, span_min=30, limits=True, reposition=request.param)
    scenario = read_scenario(folder / "in")
    world = simulate(scenario, PolicyName.SHIPPED)
    summary = write_outputs(folder / "out", folder / "in", scenario, world, timings=False)
    assert summary["bundle_size_mean"] > 1
    return folder / "out"


def attacks(day: Path) -> Iterator[tuple[str, str, int]]:
    """Yield every file, every forgery of it, and rows all over it."""
    for file, forgeries in FORGERIES.items():
        for name in forgeries:
            rows = len(read(day / file))
            for row in range(0, rows, 1 + rows // 6):
                yield file, name, row


def test_a_forged_row_is_found(day: Path, tmp_path: Path) -> None:
    decided = {row["decided_min"] for row in read(day / ASSIGNMENTS)}
    missed = []
    for file, name, at in attacks(day):
        rows = read(day / file)
        columns = list(rows[0])
        if file == WINDOWS and name == "left out" and rows[at]["at_min"] not in decided:
            # Nothing hangs on a window in which nothing was decided.
            continue
        if file == MOVES and rows[at]["from"] == rows[at]["to"]:
            # Nor on a way from a place to itself.
            continue
        FORGERIES[file][name](rows, at)
        if rows == read(day / file):
            continue
        out = tmp_path / "out"
        shutil.copytree(day, out, dirs_exist_ok=True)
        write(out / file, rows, columns)
        if not findings(out):
            missed.append((file, name, at, rows[min(at, len(rows) - 1)]))
    assert missed == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("max_parcels", "1", "parcels are on board"), ("off_min", "1", "off duty"), ("on_min", "2000", "off duty")],
)
def test_a_partner_who_could_do_less_is_found(day: Path, tmp_path: Path, column: str, value: str, said: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(day, out)
    path = out / "scenario" / "partners.csv"
    rows = read(path)
    for row in rows:
        row[column] = value if column != "off_min" else repr(float(row["on_min"]) + float(value))
        if column == "on_min":
            row["off_min"] = "2100"
    write(path, rows, list(rows[0]))
    assert any(said in finding for finding in findings(out))

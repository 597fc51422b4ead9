"""`lastmile simulate` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.scenarios import write_scenario


def lastmile(*arguments: object) -> tuple[int, str, str]:
    """Run the command; return its exit code and what it printed."""
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scenario."""
    return write_scenario(tmp_path / "scenario")


def test_a_folder_is_simulated_and_the_outputs_verified(folder: Path, tmp_path: Path) -> None:
    code, said, _ = lastmile(folder, "--out", tmp_path / "out")
    assert code == 0
    assert "orders delivered by 8 partners" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "assignments.csv", "moves.csv", "windows.csv", "summary.json", "scenario", "day.png", "day.svg",
    }  # fmt: skip
    code, said, _ = lastmile("check", tmp_path / "out")
    assert (code, "every rule holds" in said) == (0, True)


def test_options_may_come_first(folder: Path, tmp_path: Path) -> None:
    code, said, _ = lastmile("--out", tmp_path / "out", "--policy", "greedy", "--no-picture", "--json", folder)
    assert code == 0
    assert json.loads(said) == json.loads((tmp_path / "out" / "summary.json").read_text())


def test_the_same_scenario_and_seed_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        assert lastmile(folder, "--out", tmp_path / name, "--keep-partners", "0.5", "--seed", "7")[0] == 0
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert len((tmp_path / "one" / "scenario" / "partners.csv").read_text().splitlines()) == 5


def test_a_broken_rule_fails_the_check(folder: Path, tmp_path: Path) -> None:
    lastmile(folder, "--out", tmp_path / "out", "--no-picture")
    path = tmp_path / "out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"delivered": 1}))
    code, said, _ = lastmile("check", tmp_path / "out")
    assert (code, "summary.json: delivered is 1" in said) == (1, True)
    code, said, _ = lastmile("check", tmp_path / "out", "--json")
    assert (code, json.loads(said)["ok"]) == (1, False)


def test_every_policy_is_compared(folder: Path) -> None:
    code, said, _ = lastmile("compare", folder, "--keep-partners", "0.5", "--json")
    assert code == 0
    found = json.loads(said)
    floor = found.pop("nobody below")
    assert set(found) == {"greedy", "plain", "shipped"}
    for measure in ("undelivered", "every_order_click_to_door_mean_min", "every_order_lateness_mean_min"):
        assert floor[measure] <= min(one[measure] for one in found.values())
    assert len({one["shared_orders"] for one in found.values()}) == 1
    assert found["shipped"]["shared_orders"] <= found["shipped"]["delivered"]


def test_a_malformed_file_is_named_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    orders = folder / "orders.csv"
    orders.write_text(orders.read_text().replace("o3,", "o3,x", 1))
    for arguments in ((folder, "--out", tmp_path / "out"), ("compare", folder)):
        code, _, said = lastmile(*arguments)
        assert code == 2
        assert "orders.csv: row 5, column x" in said
    assert not (tmp_path / "out").exists()


def test_scenarios_are_converted_and_what_cannot_be_is_said(folder: Path, tmp_path: Path) -> None:
    code, said, _ = lastmile("convert", "thin", folder, "--out", tmp_path / "half")
    assert (code, "40 orders, 4 partners" in said) == (0, True)
    for arguments in (("rappi", tmp_path), ("lade", tmp_path / "no.parquet", "--first-day", 907)):
        code, _, said = lastmile("convert", *arguments, "--out", tmp_path / "x")
        assert (code, "No such file" in said) == (2, True)


def test_help_shows_the_short_form_and_the_commands() -> None:
    code, said, _ = lastmile("--help")
    assert code == 0
    for word in ("DIR --out OUT", "check", "compare", "convert"):
        assert word in said

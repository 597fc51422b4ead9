"""`lastmile simulate` on real days: every rule holds, and the shipped policy loses to no baseline."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not on this machine: ../shared/data")
MEASURES = ("undelivered", "click_to_door_mean_min", "lateness_mean_min")


def simulate(*arguments: object) -> str:
    """Run the command; return what it printed."""
    command = [sys.executable, "-m", "cli", "simulate", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


@pytest.fixture(scope="module")
def rappi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rappi 16 as a scenario."""
    folder = tmp_path_factory.mktemp("rappi")
    simulate("convert", "rappi", REAL / "rappi" / "16", "--out", folder)
    return folder


@pytest.mark.parametrize("keep_partners", ["0.5", "0.1"])
def test_with_fewer_partners_nothing_is_worse_than_with_a_baseline(rappi: Path, keep_partners: str) -> None:
    found: dict[str, dict[str, Any]] = json.loads(
        simulate("compare", rappi, "--keep-partners", keep_partners, "--json")
    )
    for other in ("greedy", "plain"):
        for measure in MEASURES:
            assert found["shipped"][measure] <= found[other][measure], (other, measure)


def test_a_real_day_keeps_every_rule(rappi: Path, tmp_path: Path) -> None:
    simulate(rappi, "--out", tmp_path / "out", "--keep-partners", "0.1")
    assert "every rule holds" in simulate("check", tmp_path / "out")


def test_days_of_parcels_are_delivered_in_time_and_keep_every_rule(tmp_path: Path) -> None:
    source = REAL / "lade-jilin" / "delivery_jl.parquet"
    simulate("convert", "lade", source, "--out", tmp_path / "in", "--first-day", 907, "--days", 2)
    summary = json.loads(simulate(tmp_path / "in", "--out", tmp_path / "out", "--json"))
    assert (summary["undelivered"], summary["late"]) == (0, 0)
    assert "every rule holds" in simulate("check", tmp_path / "out")

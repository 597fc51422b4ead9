"""The picture is there in both forms, and the same every time."""

from pathlib import Path

import pytest

from cli.simulate.picture import PNG, SVG, draw
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.scenarios import write_scenario


@pytest.mark.parametrize("orders", [0, 30])
def test_the_same_day_gives_the_same_pictures(tmp_path: Path, orders: int) -> None:
    scenario = read_scenario(write_scenario(tmp_path / "s", orders=orders, partners=3))
    world = simulate(scenario, PolicyName.PLAIN)
    found = []
    for _ in range(2):
        draw(tmp_path, scenario, world, "a title")
        found.append(((tmp_path / PNG).read_bytes(), (tmp_path / SVG).read_bytes()))
    assert found[0] == found[1]
    assert found[0][0].startswith(b"\x89PNG")
    assert b"<svg" in found[0][1]

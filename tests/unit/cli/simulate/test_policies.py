"""The shipped policy beats both baselines where partners are scarce, on everything at once."""

from pathlib import Path

from cli.simulate.outputs import summarize
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.scenarios import write_scenario


def test_scarce_partners_deliver_more_sooner_and_less_late(tmp_path: Path) -> None:
    settings = {"reposition": True, "round_travel_to_min": True}
    folder = write_scenario(tmp_path / "s", seed=1, orders=120, partners=16, pickups=10, span_min=180, **settings)
    scenario = read_scenario(folder)
    found = {policy: summarize(scenario, simulate(scenario, policy)) for policy in PolicyName}
    for other in (PolicyName.GREEDY, PolicyName.PLAIN):
        for measure in ("undelivered", "click_to_door_mean_min", "lateness_mean_min"):
            assert found[PolicyName.SHIPPED][measure] < found[other][measure], (other, measure)

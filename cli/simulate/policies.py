"""The policies that can be chosen by name, and one run of one of them."""

from collections.abc import Callable
from enum import StrEnum

from cli.simulate.scenario import Scenario
from cli.simulate.world import World
from services.assignment.matching.horizon.day import Day
from services.assignment.matching.horizon.greedy import Greedy
from services.assignment.matching.horizon.plain import Plain
from services.assignment.matching.horizon.rolling import Rolling
from services.assignment.matching.horizon.situation import Policy


class PolicyName(StrEnum):
    """What --policy takes."""

    GREEDY = "greedy"
    PLAIN = "plain"
    SHIPPED = "shipped"


POLICIES: dict[PolicyName, Callable[[Day], Policy]] = {
    PolicyName.GREEDY: lambda _: Greedy(),
    PolicyName.PLAIN: lambda _: Plain(),
    PolicyName.SHIPPED: Rolling,
}


def simulate(scenario: Scenario, policy: PolicyName, progress: Callable[[int], None] | None = None) -> World:
    """Run a policy over a scenario and return the world as it is afterwards."""
    world = World(scenario.day, POLICIES[policy](scenario.day))
    world.run(progress)
    return world

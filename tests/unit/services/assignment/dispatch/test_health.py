import pytest

from libs.resilience.board import Report
from libs.resilience.circuit import CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.limits import DependencyLimits
from services.assignment.dispatch.health import share_of_all

NAME = "network:lent"


def report(process: str, share: float, name: str = NAME) -> Report:
    return Report(process, name, CircuitState.RETURNING, share, "", spreads=False)


@pytest.mark.parametrize(
    ("reports", "share"),
    [
        ([], 1.0),
        ([report("dispatcher-2", 0.0)], 0.5),
        ([report("dispatcher-2", 0.0), report("dispatcher-3", 0.04)], 0.3),
        ([report("dispatcher-1", 0.0), report("notification-1", 0.0), report("dispatcher-2", 0.0, "network:b")], 1.0),
    ],
)
def test_a_networks_health_is_what_all_dispatchers_let_through(reports: list[Report], share: float) -> None:
    own = Dependency(NAME, DependencyLimits(), lambda _: None)
    assert share_of_all(own, "dispatcher-1", reports) == share


def test_none_is_down_and_little_is_not() -> None:
    own = Dependency(NAME, DependencyLimits(), lambda _: None)
    own.open_as_told("down")
    assert share_of_all(own, "dispatcher-1", [report("dispatcher-2", 0.0)]) == 0.0
    assert share_of_all(own, "dispatcher-1", [report("dispatcher-2", 0.02)]) == 0.1

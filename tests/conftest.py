"""The whole platform for the tests that need it: started once, when the first of them asks, shared by all."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from libs.embedded.stack import RunningStack
from tests.papers import COMPANY
from tests.rest import Rest
from tests.sandbox_networks import SandboxNetworks

# A busy machine is no fault of the code: speed is measured by `make bench`, never by a test.
settings.register_profile("lastmile", deadline=None)
settings.load_profile("lastmile")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run last what needs the whole platform: it takes some of a processor also while nobody asks it anything."""
    items.sort(key=lambda item: "running_stack" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> SandboxNetworks:
    """The partner networks that the platform knows; a test runs those that it needs."""
    return SandboxNetworks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory, networks: SandboxNetworks) -> Iterator[RunningStack]:
    """Every server and service, without the demo's traffic."""
    told = {
        "LASTMILE_NETWORKS_FILE": str(networks.file),
        # A machine that is busy for a moment is no outage, and no reason to leave a search.
        "LASTMILE_GATEWAY_CACHE__REDIS_TIMEOUT_MS": "2000",
        "LASTMILE_ASSIGNMENT_CACHE__REDIS_TIMEOUT_MS": "2000",
        "LASTMILE_MATCHER_REMEDIES_S_MAX": "5",
        "LASTMILE_NOTIFICATION_ALERT_RULES__HEALED_S": "1",
        "LASTMILE_NOTIFICATION_ALERTER__REFRESH_S": "0.5",
        "LASTMILE_RECONCILIATION_COMPANY": COMPANY.model_dump_json(),
    }
    with RunningStack(tmp_path_factory.mktemp("running") / "home", told) as stack:
        yield stack


@pytest.fixture
def ops(running_stack: RunningStack) -> Rest:
    """Ops, over REST."""
    return Rest(running_stack.base_url, running_stack.ops_api_key)

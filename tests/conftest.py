"""The whole platform for the tests that need it: started once, when the first of them asks, shared by all."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from libs.embedded.stack import RunningStack
from tests.rest import Rest

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("lastmile", deadline=None)
settings.load_profile("lastmile")


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Every server and service, without the demo's traffic."""
    with RunningStack(tmp_path_factory.mktemp("running") / "home") as stack:
        yield stack


@pytest.fixture
def ops(running_stack: RunningStack) -> Rest:
    """Ops, over REST."""
    return Rest(running_stack.base_url, running_stack.ops_api_key)

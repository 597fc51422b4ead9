"""Real servers for the integration tests: started once, shared by all of them."""

from collections.abc import Iterator

import pytest

from libs.embedded.stack import EmbeddedServers


@pytest.fixture(scope="session")
def embedded_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """PostgreSQL with its hot standby, and Valkey, with every role and table."""
    with EmbeddedServers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers

"""Ports of stacks in tests: none is chosen twice, and processes of one kind have ports of their own in a row."""

import socket
from collections import deque
from pathlib import Path

import pytest

from libs.embedded import free_ports as ports_module
from libs.embedded.errors import NotReadyError
from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers


def test_each_of_several_processes_has_a_port_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So few ports that neighbours would nearly always meet, if each were chosen by itself.
    monkeypatch.setattr(ports_module, "PORTS_MAX", ports_module.PORTS_MIN + 400)
    monkeypatch.setattr(ports_module, "PORTS_LOOKED_AT_MAX", 390)
    monkeypatch.setattr(ports_module, "_lately_given", deque(maxlen=400))

    settings = EmbeddedServers(
        tmp_path / "home", {"LASTMILE_MATCHER_PROCESSES": "3", "LASTMILE_ASSIGNMENT_API_PROCESSES": "2"}
    ).settings

    used = [*settings.service_ports().values(), *settings.server_ports().values()]
    assert len(used) == len(set(used))
    assert len([name for name in settings.service_ports() if name.startswith("LASTMILE_MATCHER_PORT")]) == 3


def test_no_port_is_given_twice_before_anybody_listens_on_it() -> None:
    given = [port for _ in range(20) for port in free_ports(40)]
    assert len(given) == len(set(given))


def test_a_port_that_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        taken.listen(1)
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports_module, "PORTS_MIN", port)
        monkeypatch.setattr(ports_module, "PORTS_MAX", port + 1)
        monkeypatch.setattr(ports_module, "PORTS_LOOKED_AT_MAX", 1)
        monkeypatch.setattr(ports_module, "_lately_given", deque())
        with pytest.raises(NotReadyError, match="not 1 are free"):
            free_ports(1)

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from libs.embedded.process_info import (
    ProcessIdentity,
    identify,
    is_alive,
    listens,
    memory_bytes,
    port_holder,
    port_is_free,
    processes_in,
)


def test_a_process_is_itself_and_nobody_else() -> None:
    own = identify(os.getpid())
    assert own is not None
    assert is_alive(own)
    assert not is_alive(ProcessIdentity(own.pid, own.token + "1"))


def test_a_process_that_ended_has_no_identity() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert identify(process.pid) is None
    assert memory_bytes(process.pid) == (0, 0)
    assert not listens(process.pid, 80)


def test_a_taken_port_is_seen_with_its_holder() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        assert f"process {os.getpid()}" in port_holder(port)
        assert listens(os.getpid(), port)
    assert port_is_free("127.0.0.1", port)
    assert not listens(os.getpid(), port)


def test_memory_shared_by_processes_is_counted_once_in_the_proportional_figure() -> None:
    resident, proportional = memory_bytes(os.getpid())
    assert resident >= proportional > 1_000_000


def test_processes_are_found_by_where_they_work(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        assert processes_in(tmp_path.resolve(), "sleep") == [process.pid]
        assert processes_in(tmp_path.resolve(), "postgres") == []
        assert processes_in(tmp_path / "other", "sleep") == []
    finally:
        process.kill()
        process.wait()

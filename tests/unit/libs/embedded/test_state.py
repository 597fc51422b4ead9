import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.embedded.errors import AlreadyRunningError
from libs.embedded.layout import Layout
from libs.embedded.process_info import ProcessIdentity, identify
from libs.embedded.state import (
    PlatformState,
    ProcessState,
    forget_process,
    home_lock,
    is_locked,
    live_orphans,
    read_state,
    remember_process,
    write_state,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path, tmp_path / "servers", None)
    found.run.mkdir()
    return found


@pytest.fixture
def child() -> Iterator[ProcessIdentity]:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    identity = identify(process.pid)
    assert identity is not None
    yield identity
    process.kill()
    process.wait()


def test_a_home_has_one_supervisor_at_a_time(layout: Layout) -> None:
    assert not is_locked(layout)
    with home_lock(layout):
        assert is_locked(layout)
        with pytest.raises(AlreadyRunningError), home_lock(layout):
            pass
    assert not is_locked(layout)


def test_a_process_that_was_not_taken_back_is_an_orphan(layout: Layout, child: ProcessIdentity) -> None:
    remember_process(layout, "valkey", child, signal.SIGTERM)
    assert [(orphan.name, orphan.identity) for orphan in live_orphans(layout)] == [("valkey", child)]
    forget_process(layout, "valkey")
    assert live_orphans(layout) == []


def test_another_process_that_got_the_number_of_one_of_ours_is_not_ours(layout: Layout, child: ProcessIdentity) -> None:
    remember_process(layout, "valkey", ProcessIdentity(child.pid, "another start"), signal.SIGTERM)
    assert live_orphans(layout) == []


def test_a_half_written_identity_is_nobody(layout: Layout) -> None:
    (layout.run / "gateway.pid").write_text('{"name": "gat')
    assert live_orphans(layout) == []


def test_a_state_is_live_only_while_its_supervisor_is(layout: Layout, child: ProcessIdentity) -> None:
    process = ProcessState(
        name="valkey",
        state="ready",
        pid=child.pid,
        token=child.token,
        started_at_s=1.0,
        restarts=0,
        ports=(1,),
        last_exit=None,
    )
    state = PlatformState(
        pid=child.pid,
        token=child.token,
        started_at_s=1.0,
        ready_at_s=None,
        home=str(layout.home),
        servers=str(layout.servers),
        servers_only=True,
        processes=(process,),
    )
    assert read_state(layout) is None
    write_state(layout, state)
    found = read_state(layout)
    assert found == state
    assert found.is_live
    assert found.process("valkey").is_live
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now, which counts as dead
    assert not found.is_live
    assert not found.process("valkey").is_live


def test_a_state_that_cannot_be_read_is_none(layout: Layout) -> None:
    (layout.run / "state.json").write_text("{")
    assert read_state(layout) is None

"""The solver processes of this test's process, or of another one: found, stopped, continued, killed."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from services.assignment.matching import assignment, pipeline

DEADLINE_S = 30.0


def solver_pids(of: int | None = None) -> list[int]:
    """The children of the fork server of a process."""
    servers = [child for child in psutil.Process(of).children() if _is_fork_server(child)]
    return sorted(child.pid for server in servers for child in server.children() if is_alive(child))


def _is_fork_server(process: psutil.Process) -> bool:
    try:
        return "multiprocessing.forkserver" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether it has neither ended nor only been left unburied."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def share_every_component(patch: pytest.MonkeyPatch) -> None:
    """Hand each component out by itself, however small the problem is."""
    patch.setattr(assignment, "LOT_EDGES", 1)
    # Below so many edges nobody looks for components.
    patch.setattr(pipeline, "ONE_COMPONENT_EDGES_MAX", 0)


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds; fail after DEADLINE_S."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s, "did not come to hold in time"
        time.sleep(0.01)

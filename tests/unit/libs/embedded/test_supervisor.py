"""The supervisor with small Python programs in place of servers."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.embedded.errors import PlatformError
from libs.embedded.layout import Layout
from libs.embedded.log_stream import Console
from libs.embedded.nodes import ProcessSpec, StepSpec
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import ProcessState, live_orphans, read_state
from libs.embedded.supervisor import Supervisor

DEADLINE_S = 20.0
POLITE = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
BROKEN = "import sys; print('no luck', flush=True); sys.exit(3)"


class Harness:
    """One supervisor over given nodes, and what it has written down."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout(home, home / "servers", None)
        for directory in (self.layout.run, self.layout.logs):
            directory.mkdir()
        self.settings = PlatformSettings(home=home, restart_backoff_s_min=0.02, restart_backoff_s_max=0.1)
        self.became_ready = asyncio.Event()

    def spec(self, name: str, program: str = POLITE, **more: object) -> ProcessSpec:
        arguments = (sys.executable, "-I", "-S", "-c", program)
        # Ready once it has said something, so that it is past its start when it is asked to stop.
        options = {"is_ready": self.said_something(name)} | more
        return ProcessSpec(name, arguments, {}, self.layout.home, **options)  # type: ignore[arg-type]  # keywords

    def said_something(self, name: str) -> Callable[[int], object]:
        async def probe(_pid: int) -> bool:
            return bool(self.log(name))

        return probe

    def start(self, *nodes: ProcessSpec | StepSpec) -> "asyncio.Task[None]":
        self.supervisor = Supervisor(self.settings, self.layout, Console(), nodes, self.became_ready.set)
        return asyncio.create_task(self.supervisor.run())

    def process(self, name: str) -> ProcessState:
        state = read_state(self.layout)
        assert state is not None
        return state.process(name)

    def log(self, name: str) -> str:
        return (self.layout.logs / f"{name}.log").read_text()

    async def ready(self) -> None:
        await asyncio.wait_for(self.became_ready.wait(), DEADLINE_S)

    async def stop(self, run: "asyncio.Task[None]") -> None:
        self.supervisor.request_stop()
        await asyncio.wait_for(run, DEADLINE_S)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        await asyncio.sleep(0.01)
        if condition():
            return
        assert time.monotonic() < deadline_s


async def test_a_process_starts_when_what_it_needs_is_ready_and_stops_before_it(harness: Harness) -> None:
    order: list[str] = []

    async def step() -> None:
        order.append("step")

    def noting(name: str) -> Callable[[], object]:
        async def prepare() -> None:
            order.append(name)

        return prepare

    run = harness.start(
        harness.spec("service", needs=("step",), prepare=noting("service")),
        StepSpec("step", step, ("server",)),
        harness.spec("server", prepare=noting("server")),
    )
    await harness.ready()
    assert order == ["server", "step", "service"]
    service, server = harness.process("service"), harness.process("server")
    stopping = asyncio.create_task(harness.stop(run))
    while not stopping.done():
        assert server.is_live or not service.is_live
        await asyncio.sleep(0.005)
    await stopping
    assert not server.is_live


async def test_a_process_that_is_killed_is_started_again(harness: Harness) -> None:
    run = harness.start(harness.spec("server"))
    await harness.ready()
    killed = harness.process("server")
    os.kill(killed.pid or 0, signal.SIGKILL)
    await until(lambda: harness.process("server").restarts == 1 and harness.process("server").state == "ready")
    assert harness.process("server").pid != killed.pid
    assert harness.process("server").last_exit == "was killed by SIGKILL"
    await harness.stop(run)


async def test_a_process_that_cannot_start_is_tried_again_and_again_and_can_be_stopped(harness: Harness) -> None:
    run = harness.start(harness.spec("broken", BROKEN, is_ready=lambda _pid: asyncio.sleep(0, False)))
    await until(lambda: harness.process("broken").restarts >= 3)
    assert harness.process("broken").last_exit == "exited with code 3"
    assert harness.log("broken").count("no luck") >= 3
    assert not harness.became_ready.is_set()
    await harness.stop(run)


async def test_a_program_that_does_not_exist_is_reported_and_does_not_stop_the_others(harness: Harness) -> None:
    absent = ProcessSpec("absent", ("/nonexistent/program",), {}, harness.layout.home, is_ready=never)
    run = harness.start(absent, harness.spec("server"))
    await until(lambda: harness.process("absent").restarts >= 1 and harness.process("server").state == "ready")
    assert "cannot execute /nonexistent/program" in harness.log("absent")
    await harness.stop(run)


async def never(_pid: int) -> bool:
    return False


async def test_a_process_that_ignores_the_request_is_killed_when_its_grace_is_over(harness: Harness) -> None:
    run = harness.start(harness.spec("stubborn", STUBBORN, grace_s=0.2))
    await harness.ready()
    process = harness.process("stubborn")
    await harness.stop(run)
    assert not process.is_live
    assert "did not stop within" in harness.log("lastmile")


async def test_a_suspended_process_is_stopped_too(harness: Harness) -> None:
    run = harness.start(harness.spec("server"))
    await harness.ready()
    process = harness.process("server")
    os.kill(process.pid or 0, signal.SIGSTOP)
    await harness.stop(run)
    assert not process.is_live
    assert "killing it" not in harness.log("lastmile")


async def test_asking_twice_kills(harness: Harness) -> None:
    run = harness.start(harness.spec("stubborn", STUBBORN, grace_s=60.0))
    await harness.ready()
    harness.supervisor.request_stop()
    await until(lambda: harness.process("stubborn").state == "stopping")
    await harness.stop(run)


async def test_a_process_that_is_not_ready_in_time_is_started_again(harness: Harness) -> None:
    run = harness.start(harness.spec("slow", is_ready=never, ready_timeout_s=0.3))
    await until(lambda: harness.process("slow").restarts >= 1)
    assert "was not ready within" in harness.log("lastmile")
    await harness.stop(run)


async def test_a_step_that_fails_stops_everything_and_is_the_reason(harness: Harness) -> None:
    async def fail() -> None:
        raise PlatformError("the tables are wrong")

    run = harness.start(harness.spec("server"), StepSpec("step", fail, ("server",)))
    with pytest.raises(PlatformError, match="the tables are wrong"):
        await asyncio.wait_for(run, DEADLINE_S)
    assert harness.process("server").state == "stopped"
    assert live_orphans(harness.layout) == []


async def test_stopping_does_not_wait_for_a_preparation(harness: Harness) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    run = harness.start(harness.spec("server", prepare=forever), harness.spec("service", needs=("server",)))
    await until(lambda: harness.process("server").state == "preparing")
    await harness.stop(run)


async def test_nothing_is_left_written_down_after_an_orderly_stop(harness: Harness) -> None:
    run = harness.start(harness.spec("a"), harness.spec("b", needs=("a",)))
    await harness.ready()
    assert [orphan.name for orphan in live_orphans(harness.layout)] == ["a", "b"]
    await harness.stop(run)
    assert list(harness.layout.run.glob("*.pid")) == []


async def test_output_of_a_grandchild_that_lives_on_does_not_delay_the_restart(harness: Harness) -> None:
    program = (
        "import os, signal\n"
        "if os.fork() == 0:\n    os.setsid(); print('child', os.getpid(), flush=True); signal.pause()\n"
        "signal.pause()"
    )
    run = harness.start(harness.spec("parent", program))
    await harness.ready()
    os.kill(harness.process("parent").pid or 0, signal.SIGKILL)
    await until(lambda: harness.process("parent").restarts == 1 and harness.log("parent").count("child") == 2)
    await harness.stop(run)
    for line in harness.log("parent").splitlines():
        os.kill(int(line.split()[1]), signal.SIGKILL)

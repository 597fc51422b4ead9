import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from libs.embedded.commands import launched, run_tool
from libs.embedded.errors import CommandFailedError
from libs.embedded.layout import Layout
from libs.embedded.process_info import identify


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path, tmp_path / "servers", None)
    found.servers.mkdir()
    return found


def python(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", program]


async def test_a_tool_gives_its_output(layout: Layout) -> None:
    assert await run_tool(python("print('hello')"), layout, 10.0) == "hello\n"


async def test_a_tool_that_fails_says_what_it_said_last(layout: Layout) -> None:
    program = "import sys; [print('line', n, flush=True) for n in range(100)]; sys.exit('out of space')"
    with pytest.raises(CommandFailedError, match=r"exit code 1:\n(.*\n)*out of space") as caught:
        await run_tool(python(program), layout, 10.0)
    assert "line 50" not in str(caught.value)


async def test_a_tool_that_takes_too_long_is_killed(layout: Layout) -> None:
    pid = layout.home / "pid"
    program = f"import os, signal; open({str(pid)!r}, 'w').write(str(os.getpid())); signal.pause()"
    # A busy machine may take longer than the first of these to start it.
    for longest_s in (1.0, 10.0, 60.0):
        with pytest.raises(CommandFailedError, match="took longer"):
            await run_tool(python(program), layout, longest_s)
        if pid.exists() and pid.read_text():
            break
    assert identify(int(pid.read_text())) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
async def test_a_launched_program_ends_with_the_process_that_launched_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = python(f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()")
    parent_program = (
        "import signal, subprocess, sys; from libs.embedded.commands import launched; "
        f"subprocess.Popen(launched({child!r}, None, signal.SIGTERM)); signal.pause()"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", parent_program, cwd=Path.cwd())
    deadline_s = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    pid = int(pid_file.read_text())
    assert identify(pid) is not None
    parent.kill()
    await parent.wait()
    while identify(pid) is not None:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


async def test_a_program_that_cannot_be_executed_is_named(layout: Layout) -> None:
    with pytest.raises(CommandFailedError, match="cannot execute /nonexistent: No such file"):
        await run_tool(["/nonexistent"], layout, 10.0)


def test_a_launched_command_names_the_account_it_becomes() -> None:
    command = launched(["program"], None, signal.SIGINT)
    assert command[-5:] == ("2", str(os.getpid()), "-", "--", "program")

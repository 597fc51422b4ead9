"""Starts programs with a death signal, as the servers' account; runs the servers' own tools to their end."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from libs.embedded.errors import CommandFailedError
from libs.embedded.layout import Account, Layout

OUTPUT_LINES_SHOWN = 10
LAUNCHER = Path(__file__).with_name("launch.py")
TOOL_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def launched(arguments: Sequence[str], account: Account | None, death_signal: signal.Signals) -> tuple[str, ...]:
    """The command that becomes `arguments`, run as `account`, and gets `death_signal` when this process dies."""
    who = f"{account.uid}:{account.gid}" if account else "-"
    launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(int(death_signal)), str(os.getpid()), who, "--")
    return (*launcher, *arguments)


async def run_tool(
    arguments: Sequence[str], layout: Layout, timeout_s: float, environment: dict[str, str] | None = None
) -> str:
    """Run a tool to its end and return its output; it is killed when the caller is cancelled.

    Raises CommandFailedError when it exits with an error or takes longer than `timeout_s`.
    """
    process = await asyncio.create_subprocess_exec(
        # Killed with its supervisor: the next one must not meet a tool that still writes.
        *launched(arguments, layout.account, signal.SIGKILL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=layout.servers,
        env=TOOL_ENVIRONMENT | (environment or {}),
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        raise CommandFailedError(f"{arguments[0]} took longer than {timeout_s:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    if process.returncode:
        end = "\n".join(text.splitlines()[-OUTPUT_LINES_SHOWN:])
        raise CommandFailedError(f"{arguments[0]} failed with exit code {process.returncode}:\n{end}")
    return text

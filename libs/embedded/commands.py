"""Runs the servers' own tools (initdb, pg_basebackup) as the servers' account."""

import asyncio
from collections.abc import Sequence

from libs.embedded.errors import CommandFailedError
from libs.embedded.layout import Layout

OUTPUT_LINES_SHOWN = 10
TOOL_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


async def run_tool(
    arguments: Sequence[str], layout: Layout, timeout_s: float, environment: dict[str, str] | None = None
) -> str:
    """Run a tool to its end and return its output; it is killed when the caller is cancelled.

    Raises CommandFailedError when it exits with an error or takes longer than `timeout_s`.
    """
    account = layout.account
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=layout.servers,
        env=TOOL_ENVIRONMENT | (environment or {}),
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
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

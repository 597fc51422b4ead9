"""What a supervisor is given: processes to keep running and steps to run once, each with what it needs."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.embedded.layout import Account


async def _nothing() -> None:
    return None


async def _at_once(_pid: int) -> bool:
    return True


@dataclass(frozen=True)
class ProcessSpec:
    """A process to keep running. `prepare` runs before every start; `is_ready` is asked with the process's number."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    needs: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    account: Account | None = None
    prepare: Callable[[], Awaitable[None]] = _nothing
    is_ready: Callable[[int], Awaitable[bool]] = _at_once
    # None waits for ever: a database may have a lot of log to replay.
    ready_timeout_s: float | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 15.0


@dataclass(frozen=True)
class StepSpec:
    """Something to do once, when its needs are ready. If it raises a PlatformError, the platform stops."""

    name: str
    run: Callable[[], Awaitable[None]]
    needs: tuple[str, ...] = ()


def depths_of(nodes: Sequence[ProcessSpec | StepSpec]) -> dict[str, int]:
    """How many nodes each stands on, along its longest chain of needs."""
    by_name = {node.name: node for node in nodes}
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(need) for need in by_name[name].needs), default=0)
        return depths[name]

    for name in by_name:
        depth(name)
    return depths

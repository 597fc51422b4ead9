"""What a running platform writes down about itself, so that other commands can find it: lock, identities, state."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.embedded.errors import AlreadyRunningError
from libs.embedded.layout import Layout
from libs.embedded.process_info import ProcessIdentity, is_alive

LOCK, STATE = "supervisor.lock", "state.json"


class ProcessState(BaseModel):
    """One supervised process as it was at the last change. `state` is one of waiting, preparing, starting, ready,
    backoff, stopping, stopped."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    pid: int | None
    token: str | None
    started_at_s: float | None
    restarts: int
    ports: tuple[int, ...]
    last_exit: str | None

    @property
    def is_live(self) -> bool:
        """Whether this very process runs."""
        return self.pid is not None and self.token is not None and is_alive(ProcessIdentity(self.pid, self.token))


class PlatformState(BaseModel):
    """The supervisor and its processes. Times are seconds since the epoch; `ready_at_s` is None until all were."""

    model_config = ConfigDict(frozen=True)

    pid: int
    token: str
    started_at_s: float
    ready_at_s: float | None
    home: str
    servers: str
    servers_only: bool
    processes: tuple[ProcessState, ...]

    @property
    def is_live(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return is_alive(ProcessIdentity(self.pid, self.token))

    def process(self, name: str) -> ProcessState:
        """The process of that name; KeyError when there is none."""
        for process in self.processes:
            if process.name == name:
                return process
        raise KeyError(name)


class Orphan(BaseModel):
    """A process whose identity was written down and not taken back: its supervisor was killed."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    token: str
    stop_signal: int

    @property
    def identity(self) -> ProcessIdentity:
        """The process, and no other that got its number later."""
        return ProcessIdentity(self.pid, self.token)


@contextmanager
def home_lock(layout: Layout) -> Iterator[None]:
    """Hold LASTMILE_HOME for one supervisor; the kernel lets go when it dies, however it dies.

    Raises AlreadyRunningError when another one holds it.
    """
    with (layout.run / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"another supervisor runs in {layout.home}") from None
        yield


def is_locked(layout: Layout) -> bool:
    """Whether a supervisor holds this LASTMILE_HOME."""
    path = layout.run / LOCK
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_state(layout: Layout) -> PlatformState | None:
    """The last state written, by a supervisor that may be gone; None when there is none that can be read."""
    try:
        return PlatformState.model_validate_json((layout.run / STATE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_state(layout: Layout, state: PlatformState) -> None:
    """Replace the state at once and whole."""
    draft = layout.run / (STATE + ".new")
    draft.write_text(state.model_dump_json(indent=1))
    draft.replace(layout.run / STATE)


def remember_process(layout: Layout, name: str, identity: ProcessIdentity, stop_signal: int) -> None:
    """Write down who was started, so that the next supervisor can end it if this one cannot."""
    orphan = Orphan(name=name, pid=identity.pid, token=identity.token, stop_signal=stop_signal)
    _process_file(layout, name).write_text(orphan.model_dump_json())


def forget_process(layout: Layout, name: str) -> None:
    """Take back what remember_process wrote."""
    _process_file(layout, name).unlink(missing_ok=True)


def live_orphans(layout: Layout) -> list[Orphan]:
    """The processes written down that still run. Only meaningful while no supervisor does."""
    found = []
    for path in sorted(layout.run.glob("*.pid")):
        try:
            orphan = Orphan.model_validate(json.loads(path.read_bytes()))
        except ValueError:
            continue  # half-written when the supervisor was killed: its process got the death signal
        if is_alive(orphan.identity) and orphan.pid != os.getpid():
            found.append(orphan)
    return found


def _process_file(layout: Layout, name: str) -> Path:
    return layout.run / f"{name}.pid"

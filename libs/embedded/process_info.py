"""What the operating system tells about a process: who it is, whether it still is, what it holds."""

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

STATE_FIELD, START_FIELD = 0, 19  # of /proc/<pid>/stat, counted after the command's closing parenthesis


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, and not another one that got its number later: `token` is the boot and the tick it started at."""

    pid: int
    token: str


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a live process, or None when there is none with that number (a zombie is none)."""
    if sys.platform != "linux":
        try:
            process = psutil.Process(pid)
            dead = process.status() == psutil.STATUS_ZOMBIE
            return None if dead else ProcessIdentity(pid, f"{process.create_time():.3f}")
        except psutil.NoSuchProcess:
            return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[STATE_FIELD] in "ZX" else ProcessIdentity(pid, f"{boot}:{fields[START_FIELD]}")


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def memory_bytes(pid: int, *, descendants: bool = True) -> tuple[int, int]:
    """(resident, proportional) bytes of a process, with its descendants or not; zeros for what cannot be read.

    Proportional counts a page shared by n processes as 1/n in each, which is what can be added up.
    """
    resident = proportional = 0
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if descendants else ())]
    except psutil.NoSuchProcess:
        return 0, 0
    for member in family:
        try:
            resident += member.memory_info().rss
            proportional += getattr(member.memory_full_info(), "pss", 0)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return resident, proportional


def processes_in(directory: Path, program: str) -> list[int]:
    """The live processes of that name whose working directory is `directory`: a data directory's servers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith(program) and Path(process.cwd()) == directory:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def port_holder(port: int) -> str:
    """Who listens on the port, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "a process this user may not see"
    for connection in connections:
        if connection.pid and _is_listener(connection, port):
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline()[:3])
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                command = "unknown command"
            return f"process {connection.pid} ({command})"
    return "a process this user may not see"


def listens(pid: int, port: int) -> bool:
    """Whether the process itself listens on the port (several may share one)."""
    try:
        return any(_is_listener(connection, port) for connection in psutil.Process(pid).net_connections(kind="tcp"))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_listener(connection: "psutil._ntuples.sconn | psutil._ntuples.pconn", port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and list(connection.laddr)[1:2] == [port]

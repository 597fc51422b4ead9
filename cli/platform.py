"""up, down, status, doctor, migrate: the platform on this machine."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from libs.embedded.banner import running_text
from libs.embedded.bootstrap import migrate_all
from libs.embedded.doctor import Level, examine
from libs.embedded.errors import AlreadyRunningError, PlatformError
from libs.embedded.layout import plan_layout
from libs.embedded.platform import run_platform
from libs.embedded.postgres import DATABASE
from libs.embedded.settings import load_settings
from libs.embedded.shutdown import stop_platform
from libs.embedded.status import PlatformStatus, ProcessStatus, collect_status, live_state, primary_dsn
from libs.postgres.outages import NOT_ANSWERED

MEGABYTE = 1_000_000
STATUS_COLUMNS_MIN = 100
STATE_STYLES = {"ready": "green", "backoff": "red", "stopped": "dim"}
LEVEL_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def up(
    servers_only: Annotated[bool, typer.Option(help="Start PostgreSQL and Valkey, and no service.")] = False,
    demo: Annotated[bool, typer.Option(help="Drive gentle synthetic traffic (LASTMILE_DEMO_RATE_PER_MIN).")] = True,
) -> None:
    """Start the platform and keep it running until Ctrl-C or `lastmile down`."""
    with _errors_as_text():
        settings = load_settings() if demo else load_settings(demo_rate_per_min=0)
        try:
            run_platform(settings, servers_only=servers_only)
        except AlreadyRunningError as error:
            state = live_state(plan_layout(settings))
            typer.echo(running_text(state) if state else f"{error}; it is just starting or stopping")


def down() -> None:
    """Stop the platform and wait until it is gone."""
    with _errors_as_text():
        settings = load_settings()
        typer.echo(stop_platform(settings, plan_layout(settings)))


def status(
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show every process: state, restarts, uptime, memory, ports, and how far the standby is behind."""
    with _errors_as_text():
        settings = load_settings()
        found = collect_status(settings, plan_layout(settings))
    if json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _show_status(found)
    if not found.running:
        raise typer.Exit(1)


def doctor() -> None:
    """Look for what stops the platform, or soon will, and say what to do about it."""
    with _errors_as_text():
        settings = load_settings()
        failed = False
        console = Console(soft_wrap=True)
        for finding in examine(settings, plan_layout(settings)):
            failed = failed or finding.level is Level.FAIL
            level = f"[{LEVEL_STYLES[finding.level]}]{finding.level:<4}[/]"
            console.print(f"{level} {finding.subject:<20}", end=" ")
            console.print(finding.text, markup=False, highlight=False)
            if finding.advice:
                console.print(f"     -> {finding.advice}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


def migrate() -> None:
    """Apply the migrations that are missing, to LASTMILE_MIGRATION_DSN or else to the running embedded server."""
    with _errors_as_text():
        settings = load_settings()
        layout = plan_layout(settings)
        state = live_state(layout)
        dsn = settings.migration_dsn.get_secret_value() if settings.migration_dsn else None
        if dsn is None and state is not None:
            dsn = primary_dsn(settings, layout, state, DATABASE)
        if dsn is None:
            raise PlatformError("no database: set LASTMILE_MIGRATION_DSN, or start one with `lastmile up`")
        try:
            applied = asyncio.run(migrate_all(dsn, typer.echo))
        except NOT_ANSWERED as error:
            raise PlatformError(f"the database cannot be reached: {error}") from error
        if not applied:
            typer.echo("every migration is applied already")


@contextmanager
def _errors_as_text() -> Iterator[None]:
    try:
        yield
    except PlatformError as error:
        typer.secho(f"lastmile: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


def _show_status(found: PlatformStatus) -> None:
    # A wide row that wraps says more than one whose ends are cut off.
    console = Console(soft_wrap=True, width=max(Console().width, STATUS_COLUMNS_MIN))
    if not found.running:
        console.print(f"not running in {found.home}", highlight=False)
        if found.leftovers:
            console.print(f"left behind by a supervisor that was killed: {', '.join(found.leftovers)}")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("process", "state", "pid", "restarts", "uptime", "RSS MB", "PSS MB", "ports"):
        right = column in {"pid", "restarts", "uptime", "RSS MB", "PSS MB"}
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for process in found.processes:
        table.add_row(*_cells(process))
    table.add_section()
    table.add_row("total", "", "", "", "", "", f"{found.proportional_bytes / MEGABYTE:,.0f}", "")
    console.print("ready" if found.ready else "not everything is ready")
    console.print(table)
    for process in found.processes:
        if process.last_exit:
            console.print(f"{process.name} last {process.last_exit}", markup=False, highlight=False)
    if found.replication is not None:
        lag = found.replication
        behind = f", {lag.lag_bytes:,} bytes and {lag.lag_s:.2f} s behind" if lag.lag_s is not None else ""
        console.print(f"standby: {lag.state}{behind}", highlight=False)
    console.print(f"home: {found.home}", highlight=False)
    if found.relocated:
        console.print(f"data: {found.servers} (the servers' account cannot enter LASTMILE_HOME)", highlight=False)


def _cells(process: ProcessStatus) -> tuple[str, ...]:
    style = STATE_STYLES.get(process.state, "yellow")
    return (
        process.name,
        f"[{style}]{process.state}[/]",
        str(process.pid or "-"),
        str(process.restarts),
        _duration(process.uptime_s),
        f"{process.resident_bytes / MEGABYTE:,.0f}",
        f"{process.proportional_bytes / MEGABYTE:,.0f}",
        ", ".join(str(port) for port in process.ports) or "-",
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    days, rest = divmod(int(seconds), 86_400)
    return (f"{days} d " if days else "") + time.strftime("%H:%M:%S", time.gmtime(rest))

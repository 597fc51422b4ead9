"""`lastmile import rappi DIR` and `lastmile import lade FILE`."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.gateway import Gateway, GatewayError, GatewaySettings
from cli.imports.lade import LadeFile
from cli.imports.plan import ImportFileError, Source
from cli.imports.rappi import RappiDay
from cli.imports.rejects import RejectsFile
from cli.imports.upload import Summary, Tally, bring_in

app = typer.Typer(
    help="Bring real data in through the public API. Good rows are taken, refused ones are written to a file with the "
    "reason; what is there already stays as it is.",
    no_args_is_help=True,
)

ON = typer.Option(
    "--date", metavar="YYYY-MM-DD", help="The day to move the data's hours to, in the city's time zone; tomorrow."
)
ZONE = typer.Option("--time-zone", help="The city's IANA time zone.")
REJECTS = typer.Option("--rejects", help="Where refused rows go; <name>.rejects.csv here.")
WAIT = typer.Option("--wait-s", min=0, help="How long to wait until every delivery is assigned or has a reason.")
JSON = typer.Option("--json", help="Print the summary as JSON.")


@app.command()
def rappi(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds orders.csv and couriers.csv.")],
    day: Annotated[str | None, ON] = None,
    time_zone: Annotated[str, ZONE] = "America/Bogota",
    rejects: Annotated[Path | None, REJECTS] = None,
    wait_s: Annotated[float, WAIT] = 300,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Import a day of on-demand orders and the couriers who were out."""
    _run(
        lambda: RappiDay(folder, _date(day, time_zone), ZoneInfo(time_zone)),
        time_zone,
        rejects or Path(f"rappi-{folder.resolve().name}.rejects.csv"),
        wait_s,
        as_json,
    )


@app.command()
def lade(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A delivery_*.parquet of the LaDe data set.")],
    source_day: Annotated[
        int | None, typer.Option("--day", metavar="MDD", help="Only this day of the file: 925 is 25 September.")
    ] = None,
    day: Annotated[str | None, ON] = None,
    time_zone: Annotated[str, ZONE] = "Asia/Shanghai",
    rejects: Annotated[Path | None, REJECTS] = None,
    wait_s: Annotated[float, WAIT] = 300,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Import parcels that couriers take along in the morning, many at once."""
    _run(
        lambda: LadeFile(file, _date(day, time_zone), ZoneInfo(time_zone), source_day),
        time_zone,
        rejects or Path(f"{file.stem}.rejects.csv"),
        wait_s,
        as_json,
    )


def _date(text: str | None, time_zone: str) -> date:
    if text is None:
        return datetime.now(ZoneInfo(time_zone)).date() + timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date as YYYY-MM-DD", param_hint="--date") from None


def _run(read: Callable[[], Source], time_zone: str, rejects_path: Path, wait_s: float, as_json: bool) -> None:
    if time_zone not in available_timezones():
        raise typer.BadParameter(f"{time_zone!r} is no IANA time zone", param_hint="--time-zone")
    try:
        source = read()
        with RejectsFile(rejects_path) as rejects:
            summary = asyncio.run(_bring_in(source, rejects, wait_s))
    except ImportFileError as error:
        raise _failure(str(error), 2) from None
    except ValidationError as error:
        problems = "; ".join(f"LASTMILE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise _failure(problems, 2) from None
    except GatewayError as error:
        raise _failure(f"{error}\nRun the same import again to go on: what is in stays in.", 1) from None
    except OSError as error:
        raise _failure(f"{rejects_path}: {error.strerror}", 2) from None
    if as_json:
        refused_in = str(rejects.path) if rejects.count else None
        typer.echo(json.dumps(dataclasses.asdict(summary) | {"rejects_file": refused_in}, indent=2))
    else:
        _show(summary, rejects)
    if summary.undecided:
        raise typer.Exit(1)


def _failure(text: str, code: int) -> typer.Exit:
    typer.secho(f"lastmile: {text}", fg=typer.colors.RED, err=True)
    return typer.Exit(code)


async def _bring_in(source: Source, rejects: RejectsFile, wait_s: float) -> Summary:
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        async with Gateway(GatewaySettings()) as gateway:
            return await bring_in(gateway, source, rejects, progress, wait_s)


def _show(summary: Summary, rejects: RejectsFile) -> None:
    typer.echo(f"city {summary.city_code}, merchant {summary.merchant_id}")
    typer.echo(_tally("partners", summary.partners))
    typer.echo(_tally("deliveries", summary.deliveries))
    typer.echo("by state    " + _counts(summary.states))
    if summary.unassigned_reasons:
        typer.echo("no partner  " + _counts(summary.unassigned_reasons))
    if rejects.count:
        typer.echo(f"{rejects.count} rows refused, see {rejects.path}: " + _counts(summary.refusals))
    typer.echo(f"uploaded in {summary.upload_s:.1f} s, matched after {summary.matched_s:.1f} s")
    if summary.undecided:
        typer.echo(f"{summary.undecided} deliveries wait for their first window still: is a matcher running?")


def _tally(kind: str, tally: Tally) -> str:
    return (
        f"{kind:<12}{tally.read:,} read: {tally.created:,} created, {tally.there_already:,} there already, "
        f"{tally.refused:,} refused"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"

"""`lastmile simulate DIR --out OUT`, and its helpers: check, compare, convert."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from cli.imports.plan import ImportFileError
from cli.simulate.checker import Checker, OutputsError
from cli.simulate.convert import Converted, convert_lade, convert_rappi, thin_out
from cli.simulate.floor import floor_measures
from cli.simulate.outputs import COPY, delivered_by, shared_measures, summarize, write_outputs
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import ScenarioError, read_scenario
from services.assignment.matching.horizon.day import Floats

RUN = "run"
FLOOR = "nobody below"
ROWS = {
    "undelivered": "undelivered",
    "click_to_door_mean_min": "click to door, mean min",
    "click_to_door_p50_min": "click to door, p50 min",
    "click_to_door_p90_min": "click to door, p90 min",
    "lateness_mean_min": "lateness, mean min",
    "every_order_click_to_door_mean_min": "click to door, lost orders at the limit, mean min",
    "every_order_lateness_mean_min": "lateness, lost orders at the limit, mean min",
    "shared_click_to_door_mean_min": "click to door where all deliver, mean min",
    "shared_lateness_mean_min": "lateness where all deliver, mean min",
    "ready_to_pickup_mean_min": "ready to pickup, mean min",
    "deliveries_per_on_duty_hour": "deliveries per on-duty hour",
    "bundle_size_mean": "orders per visit",
    "pay_per_delivery_minor": "pay per delivery, minor units",
    "distance_m": "distance, km",
}


class RunByDefault(TyperGroup):
    """A group whose first argument may be a scenario folder instead of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before whatever is no command and no --help."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    subcommand_metavar="DIR --out OUT | COMMAND ...",
    help="Replay a day through the dispatcher in virtual time, with the matching code of production.\n\n"
    "`lastmile simulate DIR --out OUT` runs the scenario in DIR: scenario.toml, pickups.csv, orders.csv and "
    "partners.csv. All that it decides is in OUT, and `lastmile simulate check OUT` verifies it from there.",
)
convert = typer.Typer(no_args_is_help=True, help="Make scenarios from other data.")
app.add_typer(convert, name="convert")

SCENARIO = typer.Argument(metavar="DIR", help="The scenario: scenario.toml, pickups.csv, orders.csv, partners.csv.")
OUT = typer.Option("--out", metavar="OUT", help="The folder to write; what it holds of an earlier run is replaced.")
JSON = typer.Option("--json", help="Print JSON instead of a table.")


@app.command(RUN)
def run(
    folder: Annotated[Path, SCENARIO],
    out: Annotated[Path, OUT],
    policy: Annotated[PolicyName, typer.Option(help="Who decides.")] = PolicyName.SHIPPED,
    keep_partners: Annotated[
        float, typer.Option(min=0, max=1, help="Keep only this share of the partners, drawn by --seed.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Which partners --keep-partners keeps; no policy draws lots.")] = 1,
    timings: Annotated[
        bool, typer.Option("--timings", help="Measure solve_ms in windows.csv; without it 0, the same every time.")
    ] = False,
    picture: Annotated[bool, typer.Option(help="Draw day.png and day.svg.")] = True,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Run a scenario; `lastmile simulate DIR --out OUT` is the short form."""
    with _complaints():
        if keep_partners < 1:
            thin_out(folder, out / COPY, keep_partners, seed)
            folder = out / COPY
        scenario = read_scenario(folder)
        started_s = time.perf_counter()
        with _progress(len(scenario.order_ids)) as progress:
            world = simulate(scenario, policy, progress)
        took_s = time.perf_counter() - started_s
        summary = write_outputs(out, folder, scenario, world, timings=timings)
        if picture:
            # Takes half a second to load, which no other command should.
            from cli.simulate.picture import draw  # noqa: PLC0415 - see above

            draw(out, scenario, world, f"{policy}: {summary['delivered']} of {summary['orders']} delivered")
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    _table({policy: summary})
    solved_ms = sum(window.solve_ms for window in world.windows)
    typer.echo(
        f"{summary['delivered']:,} of {summary['orders']:,} orders delivered by {summary['partners']:,} partners; "
        f"{len(world.windows):,} windows in {took_s:.1f} s, {solved_ms / 1000:.1f} s of them matching; see {out}"
    )


@app.command()
def check(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="What a simulation has written.")],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Verify every rule of the world from the outputs alone; exit 1 when one is broken."""
    with _complaints():
        checker = Checker(out)
    findings = checker.findings
    if as_json:
        typer.echo(
            json.dumps({"ok": not findings, "assignments": len(checker.assigned), "findings": findings}, indent=2)
        )
    else:
        for finding in findings:
            typer.echo(finding)
        verdict = f"{len(findings)} findings" if findings else "every rule holds"
        typer.echo(f"{len(checker.assigned):,} assignments, {len(checker.moved):,} moves: {verdict}")
    if findings:
        raise typer.Exit(1)


@app.command()
def compare(
    folder: Annotated[Path, SCENARIO],
    keep_partners: Annotated[
        float, typer.Option(min=0, max=1, help="Keep only this share of the partners, drawn by --seed.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Which partners --keep-partners keeps.")] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Run every policy over a scenario and print how they compare, with what no policy can pass; nothing is written."""
    summaries: dict[str, dict[str, Any]] = {}
    drops: list[Floats] = []
    with _complaints():
        scenario = read_scenario(folder)
        if keep_partners < 1:
            with TemporaryDirectory() as thinned:
                thin_out(folder, Path(thinned), keep_partners, seed)
                scenario = read_scenario(Path(thinned))
        for policy in PolicyName:
            with _progress(len(scenario.order_ids), policy) as progress:
                world = simulate(scenario, policy, progress)
            summaries[policy] = summarize(scenario, world)
            drops.append(delivered_by(world))
    for summary, shared in zip(summaries.values(), shared_measures(scenario.day, drops), strict=True):
        summary.update(shared)
    summaries[FLOOR] = floor_measures(scenario.day)
    if as_json:
        typer.echo(json.dumps(summaries, indent=2))
    else:
        _table(summaries)


@convert.command("rappi")
def from_rappi(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Holds orders.csv and couriers.csv.")],
    out: Annotated[Path, OUT],
) -> None:
    """Make a scenario of a day of on-demand orders, as `lastmile import rappi` reads it."""
    _converted(out, lambda: convert_rappi(source, out))


@convert.command("lade")
def from_lade(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A delivery_*.parquet of the LaDe data set.")],
    out: Annotated[Path, OUT],
    first_day: Annotated[int, typer.Option(metavar="MDD", help="As the file has it: 907 is 7 September.")],
    days: Annotated[int, typer.Option(min=1, max=31, help="How many days from there.")] = 7,
) -> None:
    """Make a scenario of days of parcels: a courier's day is a partner."""
    _converted(out, lambda: convert_lade(source, out, first_day, days))


@convert.command("thin")
def from_scenario(
    source: Annotated[Path, SCENARIO],
    out: Annotated[Path, OUT],
    keep_partners: Annotated[float, typer.Option(min=0, max=1, help="Which share of them stays.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Which partners those are.")] = 1,
) -> None:
    """Make a contended scenario: the same orders, fewer partners."""
    _converted(out, lambda: thin_out(source, out, keep_partners, seed))


def _converted(out: Path, work: Callable[[], Converted]) -> None:
    with _complaints():
        done = work()
    typer.echo(f"{out}: {done.orders:,} orders, {done.partners:,} partners")
    for reason, count in sorted(done.refused.items()):
        typer.echo(f"left out {count:,} rows: {reason}")


@contextlib.contextmanager
def _complaints() -> Iterator[None]:
    """Turn what is wrong with files into a line of text and exit code 2."""
    try:
        yield
    except (ScenarioError, OutputsError, ImportFileError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        return
    typer.secho(f"lastmile: {problem}", fg=typer.colors.RED, err=True)
    raise typer.Exit(2)


@contextlib.contextmanager
def _progress(orders: int, name: str = "orders") -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=orders)
        yield lambda done: bar.update(task, completed=done)


def _table(summaries: dict[str, dict[str, Any]]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    for policy in summaries:
        table.add_column(policy, justify="right")
    for key, title in ROWS.items():
        if not any(key in summary for summary in summaries.values()):
            continue
        table.add_row(title, *(_shown(key, summary[key]) if key in summary else "" for summary in summaries.values()))
    Console().print(table)


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if key == "distance_m":
        return f"{value / 1000:,.1f}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"

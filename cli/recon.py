"""`lastmile recon`: statements in, runs over them, and what became of a delivery or a line."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import recon_desk, settle
from cli.gateway import Gateway, GatewayError
from cli.shown import console, rupees, table, with_gateway

app = typer.Typer(help="What is owed against what was paid: statements, runs, discrepancies.", no_args_is_help=True)
app.add_typer(recon_desk.app, name="desk")
app.add_typer(settle.app, name="settle")

STATES = ("collect", "normalize", "match_exact", "match_by_rule", "classify", "post", "done")
LOOK_EVERY_S = 0.2
REFUSED_SHOWN = 10
_COUNTS = ("entries", "legs", "lines", "lines_paise", "exact", "by_reference", "mistyped_reference")
_COUNTS_ALL = (*_COUNTS, "missing_reference", "one_to_many", "settlement", "judged", "adjusted")


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As it is, or compressed by gzip.", exists=True)],
    source: Annotated[str, typer.Option("--source", help="Whose it is: the code of a saved mapping.")],
) -> None:
    """Take a statement in. The same file again changes nothing."""

    async def send(gateway: Gateway) -> None:
        try:
            answer = await gateway.upload("/v1/statements:upload", file, sourceCode=source, fileName=file.name)
        except OSError as error:
            raise GatewayError(f"{file}: {error.strerror}") from None
        made = answer["statement"]
        there = ", there already" if answer.get("wasThere") else ""
        taken, refused = int(made.get("rowsTaken", 0)), int(made.get("rowsRefused", 0))
        typer.echo(f"{made['id']}: {taken:,} rows taken, {refused:,} refused{there}")
        if refused:
            await _show_refused(gateway, f"/v1/statements/{made['id']}/refused-rows", refused)

    with_gateway(send)


@app.command()
def run(
    tolerance_paise: Annotated[int | None, typer.Option(help="What amounts may differ by and be the same.")] = None,
    tolerance_min: Annotated[int | None, typer.Option(help="How far nameless payments may be from hand-overs.")] = None,
    payout_due_min: Annotated[int | None, typer.Option(help="When after its hand-over a payout is missing.")] = None,
) -> None:
    """Open a run, or follow the open one, until it is closed; then show what it found."""
    given = {"tolerancePaise": tolerance_paise, "toleranceMin": tolerance_min, "payoutDueMin": payout_due_min}
    body = {name: value for name, value in given.items() if value is not None}

    async def follow(gateway: Gateway) -> None:
        answer = await gateway.post("/v1/reconciliation/runs", body)
        run_no = answer["run"]["runNo"]
        typer.echo(f"run {run_no}{' was open already' if answer.get('wasOpen') else ''}")
        _show(await _until_closed(gateway, run_no))

    with_gateway(follow)


@app.command()
def status(run_no: Annotated[int | None, typer.Argument(metavar="[RUN]", help="The last one.")] = None) -> None:
    """Show how far a run is, and what it found."""

    async def show(gateway: Gateway) -> None:
        number = run_no
        if number is None:
            async for last in gateway.pages("/v1/reconciliation/runs", "runs", pageSize=1):
                number = last["runNo"]
                break
        if number is None:
            typer.echo("there was no run yet: lastmile recon run")
            return
        _show(await gateway.get(f"/v1/reconciliation/runs/{number}"))

    with_gateway(show)


@app.command()
def explain(
    delivery: Annotated[str | None, typer.Argument(metavar="[DELIVERY]", help="Its id.")] = None,
    statement: Annotated[str | None, typer.Option(help="A statement's id, to explain a line of.")] = None,
    line: Annotated[int | None, typer.Option(min=1, help="The line.")] = None,
) -> None:
    """Show what is owed and paid for a delivery, or what became of a line of a statement."""
    if (delivery is None) == (statement is None) or (statement is None) != (line is None):
        raise typer.BadParameter("name a delivery, or --statement and --line")

    async def show(gateway: Gateway) -> None:
        if delivery is not None:
            _show_delivery(await gateway.get(f"/v1/reconciliation/deliveries/{delivery}"))
        else:
            found = await gateway.get(f"/v1/statements/{statement}/lines/{line}")
            _show_delivery({"lines": [found["line"]], "results": [found["result"]] if "result" in found else []})

    with_gateway(show)


@app.command()
def replay(
    run_no: Annotated[int, typer.Argument(metavar="RUN")],
    note: Annotated[str, typer.Option("--note", help="Why.")],
    chunk: Annotated[
        list[int] | None, typer.Option("--chunk", help="One of several; all that are quarantined.")
    ] = None,
) -> None:
    """Have workers take quarantined chunks of a run again."""

    async def send(gateway: Gateway) -> None:
        answer = await gateway.post(f"/v1/reconciliation/runs/{run_no}:replay", {"chunks": chunk or [], "note": note})
        typer.echo(f"taken again: chunks {', '.join(map(str, answer.get('chunks', [])))}")

    with_gateway(send)


async def _until_closed(gateway: Gateway, run_no: int) -> dict[str, Any]:
    columns = (TextColumn("{task.description:<14}"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {state: bars.add_task(state, total=None) for state in STATES[:-1]}
        while True:
            found = await gateway.get(f"/v1/reconciliation/runs/{run_no}")
            chunks = found.get("chunks", [])
            for place, state in enumerate(STATES[:-1]):
                past = sum(STATES.index(chunk["state"]) > place for chunk in chunks)
                bars.update(tasks[state], completed=past, total=len(chunks))
            if "closedAt" in found["run"]:
                return found
            await asyncio.sleep(LOOK_EVERY_S)


async def _show_refused(gateway: Gateway, path: str, refused: int) -> None:
    page = await gateway.get(path, pageSize=REFUSED_SHOWN)
    for row in page.get("rows", []):
        typer.echo(f"row {row['line']}: {row['reason']}: {row.get('said', '')}")
    if refused > len(page.get("rows", [])):
        typer.echo(f"and {refused - len(page.get('rows', [])):,} more: GET {path}")


def _show(found: dict[str, Any]) -> None:
    told, chunks = found["run"], found.get("chunks", [])
    state = f"closed {told['closedAt'][:19]}" if "closedAt" in told else "open"
    typer.echo(f"run {told['runNo']}: {state}, {told['chunksCount']} chunks, cursor {told.get('lastConfirmedAt', '-')}")
    tallies = {name: int(value) for name, value in found.get("tallies", {}).items()}
    shown = table("what", "count")
    for name in (*_COUNTS_ALL, *sorted(set(tallies) - set(_COUNTS_ALL))):
        if tallies.get(name):
            shown.add_row(name, f"{tallies[name]:,}")
    console().print(shown)
    for chunk in chunks:
        if chunk.get("isQuarantined"):
            typer.echo(
                f"chunk {chunk.get('chunk', 0)} is quarantined in {chunk['state']}: {chunk.get('lastError', '')}"
            )


def _show_delivery(found: dict[str, Any]) -> None:
    for leg in found.get("legs", []):
        undone = f", undone by entry {leg['reversalEntryId']}" if leg.get("reversalEntryId") else ""
        typer.echo(
            f"owed   {leg['leg']:<7} {rupees(leg['paise'])} to {leg['payee']} since {leg['confirmedAt'][:19]}, "
            f"entry {leg['entryId']}{undone}"
        )
    for line in found.get("lines", []):
        typer.echo(
            f"paid   {line['leg']:<7} {rupees(line['paise'])} to {line['payee']} at {line['paidAt'][:19]}, "
            f"line {line['line']} of {line['statementId']}, reference {line.get('reference') or '-'}"
        )
    for result in found.get("results", []):
        typer.echo(f"result {result['leg']:<7} {result['outcome']} by {result['rule']}{_in_run(result)}")
    for one in found.get("discrepancies", []):
        settled = f", settled in run {one['settledRunNo']}" if one.get("settledRunNo") else ""
        typer.echo(f"differs {one['class']} in run {one['runNo']}{settled}: {_evidence(one['evidenceJson'])}")
    if not found.get("results") and not found.get("discrepancies"):
        typer.echo("open: no run has settled it yet")


def _in_run(result: dict[str, Any]) -> str:
    """What the desk has settled, no run has."""
    return f" in run {result['runNo']}" if result.get("runNo") else ""


def _evidence(text: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in json.loads(text).items() if value is not None)

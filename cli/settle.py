"""`lastmile recon settle`: cycles and their statements, holds, payouts, and what the bank says of them."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.gateway import Gateway, GatewayError
from cli.shown import console, rupees, table, with_gateway

app = typer.Typer(help="What each party is owed for a cycle, and paid.", no_args_is_help=True)

STATES = ("gather", "top_up", "state", "closed")
LOOK_EVERY_S = 0.2
PARTIES_SHOWN = 20
Party = Annotated[str, typer.Argument(metavar="PARTY", help="partner:<id>, network:<code> or merchant:<id>.")]
Entry = Annotated[str, typer.Argument(metavar="ENTRY", help="The line's entry, as show lists it.")]
CycleNo = Annotated[int, typer.Argument(metavar="CYCLE", min=1)]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


class PayoutFormat(StrEnum):
    """Formats of a payout file."""

    NACH = "nach"
    CSV = "csv"


@app.command()
def close(
    city: Annotated[str, typer.Option(help="A city that has cycles of its own; all others without it.")] = "",
) -> None:
    """End a cycle now, and wait until its statements are made."""

    async def follow(gateway: Gateway) -> None:
        answer = await gateway.post("/v1/settlements:close", {"cityCode": city})
        cycle_no = answer["cycle"]["cycleNo"]
        typer.echo(f"cycle {cycle_no}{' was being closed already' if answer.get('wasOpen') else ''}")
        _show_cycle(await _until_closed(gateway, cycle_no))

    with_gateway(follow)


@app.command("list")
def list_cycles() -> None:
    """List the cycles, the youngest first."""

    async def show(gateway: Gateway) -> None:
        shown = table("cycle", "city", "from", "until", "state")
        async for cycle in gateway.pages("/v1/settlements", "cycles"):
            city = cycle.get("cityCode") or "all others"
            shown.add_row(str(cycle["cycleNo"]), city, _time(cycle["from"]), _time(cycle["until"]), cycle["state"])
        console().print(shown)

    with_gateway(show)


@app.command()
def show(
    cycle_no: CycleNo,
    party: Annotated[str, typer.Argument(metavar="[PARTY]", help="Whose statement, with its lines.")] = "",
) -> None:
    """Show a cycle with the first of its statements, or one party's whole statement."""

    async def shown(gateway: Gateway) -> None:
        if party:
            await _show_statement(gateway, cycle_no, party)
            return
        _show_cycle(await gateway.get(f"/v1/settlements/{cycle_no}"))
        page = await gateway.get(f"/v1/settlements/{cycle_no}/statements", pageSize=PARTIES_SHOWN)
        listed = table("party", "opening", "closing", "held", "payable")
        for one in page.get("settlements", []):
            names = ("openingPaise", "closingPaise", "heldPaise", "payablePaise")
            listed.add_row(one["party"], *(rupees(one.get(name, 0)) for name in names))
        console().print(listed)

    with_gateway(shown)


@app.command()
def hold(
    party: Party,
    entry: Entry,
    reason: Reason,
    dispute: Annotated[bool, typer.Option("--dispute", help="The party does not agree.")] = False,
) -> None:
    """Keep a line out of what is payable until it is released."""

    async def send(gateway: Gateway) -> None:
        body = {"reason": reason, "isDispute": dispute}
        answer = await gateway.post(f"/v1/settlement-lines/{_path(party)}/{entry}:hold", body)
        typer.echo(f"{answer['hold']['state']}: {rupees(answer['hold'].get('amountPaise', 0))}")

    with_gateway(send)


@app.command()
def release(party: Party, entry: Entry, reason: Reason) -> None:
    """Let a line that is held go into what is payable next."""

    async def send(gateway: Gateway) -> None:
        answer = await gateway.post(f"/v1/settlement-lines/{_path(party)}/{entry}:release", {"reason": reason})
        typer.echo(f"{answer['hold']['state']}: {rupees(answer['hold'].get('amountPaise', 0))}")

    with_gateway(send)


@app.command()
def payout(
    cycle_no: CycleNo,
    file: Annotated[Path | None, typer.Option(help="Where to write the bank's file.", dir_okay=False)] = None,
    form: Annotated[PayoutFormat, typer.Option("--format", help="What the bank reads.")] = PayoutFormat.NACH,
) -> None:
    """Make the payouts of a cycle, once, and write their file. Run again with --file, it writes the same file again."""

    async def send(gateway: Gateway) -> None:
        # Before anything is paid.
        if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
            raise GatewayError(f"{file}: cannot be written")
        answer = await gateway.post(f"/v1/settlements/{cycle_no}/payouts", {})
        batch = answer["batch"]
        there = ", made already" if answer.get("wasThere") else ""
        count, paise = batch.get("payoutsCount", 0), batch.get("amountPaise", 0)
        typer.echo(f"batch {batch['batchNo']}: {count} payouts, {rupees(paise)}{there}")
        if file is not None:
            try:
                size = await gateway.download("/v1/settlements:payoutFile", file, cycleNo=cycle_no, format=form.value)
            except OSError as error:
                raise GatewayError(f"{file}: {error.strerror}") from None
            typer.echo(f"{file}: {size:,} bytes")
        else:
            typer.echo("no file is written: say --file for the one that the bank is given", err=True)

    with_gateway(send)


@app.command()
def confirm(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bank's statement.", exists=True)],
    source: Annotated[str, typer.Option("--source", help="Whose it is: a mapping that confirms payouts.")],
) -> None:
    """Take the bank's word for what was paid and what came back. The same file again changes nothing."""

    async def send(gateway: Gateway) -> None:
        made = (await gateway.upload("/v1/statements:upload", file, sourceCode=source, fileName=file.name))["statement"]
        answer = await gateway.post("/v1/settlements:confirmPayouts", {"statementId": made["id"]})
        for tally in answer.get("tallies", []):
            count, paise = tally.get("linesCount", 0), tally.get("amountPaise", 0)
            typer.echo(f"{tally['outcome']}: {count} lines, {rupees(paise)}")
        for one in answer.get("problems", []):
            typer.echo(f"line {one['line']}: {one['outcome']}, {one['reference']}")

    with_gateway(send)


@app.command()
def explain(party: Party, entry: Entry) -> None:
    """Show where a line comes from: postings, events, and the arithmetic, done again."""

    async def shown(gateway: Gateway) -> None:
        found = await gateway.get(f"/v1/settlement-lines/{_path(party)}/{entry}")
        line = found["line"]
        typer.echo(f"{line['kind']} in cycle {found['cycleNo']}: {rupees(line.get('amountPaise', 0))}")
        for posting in found.get("postings", []):
            typer.echo(f"posting {posting['account']} {posting['purpose']} {rupees(posting['amountPaise'])}")
        for step in found.get("explanation", {}).get("lines", []):
            fraction = f"{step.get('numerator', 0)}/{step.get('denominator', 1)}"
            # In paise, which is what is rounded.
            sums = f"{step['ofPaise']} paise x {fraction} = {step['amountPaise']} paise"
            typer.echo(f"step    {step['kind']}: {sums} {step['because']}")
        # A correction is what the steps come to, less this.
        for posting in found.get("explanation", {}).get("bookedBefore", []):
            typer.echo(f"booked before {posting['account']} {posting['purpose']} {rupees(posting['amountPaise'])}")
        for name in ("guarantee", "payment", "payout"):
            if name in found:
                typer.echo(f"{name:<7} " + ", ".join(f"{key} {value}" for key, value in found[name].items()))
        typer.echo(f"events  {', '.join(found.get('eventIds', []))}")
        typer.echo("agrees" if found.get("agrees") else "does NOT agree")

    with_gateway(shown)


async def _show_statement(gateway: Gateway, cycle_no: int, party: str) -> None:
    path = f"/v1/settlements/{cycle_no}/statements/{_path(party)}"
    found = (await gateway.get(path))["settlement"]
    for name in ("opening", "work", "tax", "cash", "paid", "closing", "held", "unsettled", "payable"):
        typer.echo(f"{name:<10} {rupees(found.get(f'{name}Paise', 0)):>16}")
    typer.echo(f"sha256     {found['contentSha256']}")
    listed = table("entry", "kind", "delivery", "amount")
    async for line in gateway.pages(f"{path}/lines", "lines", pageSize=500):
        listed.add_row(line["entryId"], line["kind"], line.get("deliveryId", ""), rupees(line.get("amountPaise", 0)))
    console().print(listed)


async def _until_closed(gateway: Gateway, cycle_no: int) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=len(STATES) - 1)
        while True:
            found: dict[str, Any] = await gateway.get(f"/v1/settlements/{cycle_no}")
            cycle = found["cycle"]
            said = f"{cycle['state']} {cycle.get('lastError', '')}".strip()
            bars.update(task, description=escape(f"{said:<8}"), completed=STATES.index(cycle["state"]))
            if "closedAt" in cycle:
                return found
            await asyncio.sleep(LOOK_EVERY_S)


def _show_cycle(found: dict[str, Any]) -> None:
    cycle = found["cycle"]
    typer.echo(
        f"cycle {cycle['cycleNo']}: {cycle['state']}, {_time(cycle['from'])} to {_time(cycle['until'])}, "
        f"{found.get('statementsCount', 0)} statements of {found.get('linesCount', 0)} lines, "
        f"payable {rupees(found.get('payablePaise', 0))}, held {rupees(found.get('heldPaise', 0))}"
    )


def _time(text: str) -> str:
    """Return a time to the second, in UTC as the gateway tells it."""
    return f"{text[:19]}Z"


def _path(party: str) -> str:
    kind, colon, owner = party.partition(":")
    if not colon or kind not in ("partner", "network", "merchant"):
        raise GatewayError(f"{party} is no party: write partner:<id>, network:<code> or merchant:<id>")
    return f"{kind}/{owner}"

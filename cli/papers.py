"""`lastmile papers`: shipping labels from a file, tax invoices issued and fetched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TimeElapsedColumn

from cli.gateway import Gateway
from cli.shown import console, rupees, table, with_gateway

app = typer.Typer(help="Papers as PDF: shipping labels and tax invoices.", no_args_is_help=True)

LABELS_A_FILE_MAX = 200
_OUT = typer.Option("--out", "-o", help="Folder for the files; it is made.", file_okay=False)


@app.command()
def labels(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A label a line, as JSON.", exists=True, dir_okay=False)],
    out: Annotated[Path, _OUT] = Path("labels"),
    a_file: Annotated[int, typer.Option(min=1, max=LABELS_A_FILE_MAX, help="Labels of one PDF.")] = LABELS_A_FILE_MAX,
) -> None:
    """Print labels of 4 x 6 inches, a page each, in the order of the file."""
    wanted = _lines(file)

    async def print_all(gateway: Gateway) -> None:
        out.mkdir(parents=True, exist_ok=True)
        with _progress() as bar:
            task = bar.add_task("labels", total=len(wanted))
            for number, start in enumerate(range(0, len(wanted), a_file), 1):
                batch = wanted[start : start + a_file]
                content = await gateway.file("POST", "/v1/labels.pdf", {"labels": batch})
                (out / f"labels-{number:04d}.pdf").write_bytes(content)
                bar.advance(task, len(batch))
        typer.echo(f"{len(wanted):,} labels in {out}")

    with_gateway(print_all)


@app.command()
def issue(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT", help="Its id.")],
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-10; it must be over.")],
    state: Annotated[str, typer.Option("--state", help="The supplier's state in the two digits of GST, such as 29.")],
    recipient: Annotated[Path, typer.Option(help="Who it is made out to, as JSON.", exists=True, dir_okay=False)],
) -> None:
    """Issue a merchant's tax invoice for a month. The same again changes nothing."""

    async def send(gateway: Gateway) -> None:
        body = {"merchantId": merchant, "month": month, "supplierStateCode": state, "recipient": _object(recipient)}
        answer = await gateway.post("/v1/invoices", body)
        made = answer["invoice"]
        there = ", there already" if answer.get("wasThere") else ""
        typer.echo(f"{made['number']} {rupees(made['payablePaise'])} ({made['id']}){there}")

    with_gateway(send)


@app.command()
def invoices(
    merchant: Annotated[str | None, typer.Option("--merchant", help="Only this merchant's; its id.")] = None,
    out: Annotated[Path | None, _OUT] = None,
) -> None:
    """List invoices, the youngest first; with --out, fetch their PDFs."""

    async def show(gateway: Gateway) -> None:
        query = {"merchantId": merchant} if merchant else {}
        found = [invoice async for invoice in gateway.pages("/v1/invoices", "invoices", **query)]
        if out is not None:
            await _fetch(gateway, found, out)
            return
        shown = table("number", "merchant", "month", "payable", "id")
        for one in found:
            shown.add_row(one["number"], one["merchantId"], one["month"], rupees(one["payablePaise"]), one["id"])
        console().print(shown)

    with_gateway(show)


async def _fetch(gateway: Gateway, found: list[dict[str, Any]], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with _progress() as bar:
        for invoice in bar.track(found, description="invoices"):
            content = await gateway.file("GET", f"/v1/invoices/{invoice['id']}.pdf")
            (out / f"{invoice['number'].replace('/', '-')}.pdf").write_bytes(content)
    typer.echo(f"{len(found):,} invoices in {out}")


def _progress() -> Progress:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True))
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))


def _lines(file: Path) -> list[dict[str, Any]]:
    def read() -> Iterator[dict[str, Any]]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.strip():
                yield _parsed(line, f"{file}, line {number}")

    found = list(read())
    if not found:
        raise typer.BadParameter(f"{file} has no labels")
    return found


def _object(file: Path) -> dict[str, Any]:
    return _parsed(file.read_text(), str(file))


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{where} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{where} is no JSON object")
    return value

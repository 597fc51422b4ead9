"""`lastmile sandbox statement`: what a bank would say it has paid for all that is owed, with errors on purpose."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.gateway import Gateway, GatewayError, RefusedError
from cli.sandbox.bank import COLUMNS, LEGS, Owed, statement_of
from cli.shown import with_gateway

SOURCE = "sandbox-bank"
PAGE_ROWS = 500
ASKED_AT_ONCE = 16


def write(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV to write.")],
    wrong: Annotated[int, typer.Option(min=0, max=100_000, help="How many payouts are wrong, each class in turn.")] = 6,
    seed: Annotated[int, typer.Option(help="The same seed chooses the same payouts.")] = 1,
    source: Annotated[str, typer.Option(help="The source to save the mapping for, if there is none.")] = SOURCE,
    answers: Annotated[Path | None, typer.Option(help="Where to write which references are wrong, as JSON.")] = None,
) -> None:
    """Write the statement of a bank that pays every delivery that nobody has paid yet, and errs on purpose.

    What it says can be uploaded: `lastmile recon upload FILE --source sandbox-bank`, then `lastmile recon run`.
    """

    async def make(gateway: Gateway) -> None:
        owed = await _owed(gateway)
        rows, seeded = statement_of(owed, wrong, seed)
        if not rows:
            raise GatewayError("nothing is owed that nobody has paid: have deliveries made, as `lastmile demo` does")
        await _save_mapping(gateway, source)
        try:
            _write(file, rows)
            if answers is not None:
                answers.write_text(json.dumps(seeded, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise GatewayError(f"{error.filename}: {error.strerror}") from None
        told = ", ".join(f"{len(found)} {kind}" for kind, found in seeded.items()) or "none of them wrong"
        typer.echo(f"{file}: {len(rows):,} rows for {len(owed):,} legs; {told}")
        typer.echo(f"lastmile recon upload {file} --source {source}")

    with_gateway(make)


async def _owed(gateway: Gateway) -> list[Owed]:
    """Return the legs of all deliveries that were handed over and of which nobody has said that they are paid."""
    ids = [
        row["id"]
        async for row in gateway.pages(
            "/v1/deliveries", "deliveries", states="DELIVERY_STATE_DELIVERED", pageSize=PAGE_ROWS
        )
    ]
    columns = (TextColumn("{task.description:<10}"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn())
    found: list[Owed] = []
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("deliveries", total=len(ids))
        async for legs in _asked(gateway, sorted(ids)):
            found += legs
            bars.advance(task)
    return found


async def _asked(gateway: Gateway, ids: list[str]) -> AsyncIterator[list[Owed]]:
    for first in range(0, len(ids), ASKED_AT_ONCE):
        for legs in await asyncio.gather(*(_legs(gateway, one) for one in ids[first : first + ASKED_AT_ONCE])):
            yield legs


async def _legs(gateway: Gateway, delivery_id: str) -> list[Owed]:
    try:
        known = await gateway.get(f"/v1/reconciliation/deliveries/{delivery_id}")
    except RefusedError as error:
        if error.reason == "DELIVERY_NOT_RECONCILED":
            # It is not booked yet.
            return []
        raise
    if known.get("lines") or known.get("results"):
        return []
    return [_leg(delivery_id, leg) for leg in known.get("legs", []) if not leg.get("reversalEntryId")]


def _leg(delivery_id: str, leg: dict[str, Any]) -> Owed:
    at = datetime.fromisoformat(leg["confirmedAt"]).astimezone(UTC)
    return Owed(delivery_id, leg["leg"], leg["payee"], int(leg["paise"]), at)


async def _save_mapping(gateway: Gateway, source: str) -> None:
    async for row in gateway.pages("/v1/statement-mappings", "mappings"):
        if row["sourceCode"] == source:
            return
    mapping = {"format": "STATEMENT_FORMAT_CSV", "columns": COLUMNS, "legs": LEGS}
    await gateway.post("/v1/statement-mappings", {"sourceCode": source, "mapping": mapping})


def _write(file: Path, rows: list[Any]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, lineterminator="\n").writerow(COLUMNS.values())
        opened.writelines(row.text() for row in rows)

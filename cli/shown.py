"""How commands show what the gateway answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli.gateway import Gateway, GatewayError, GatewaySettings
from libs.money.text import format_rupees

# Where nobody looks at a screen, lines are as long as what is in them.
COLUMNS_MIN, COLUMNS_PIPED = 120, 1_000


def with_gateway(work: Callable[[Gateway], Awaitable[None]]) -> None:
    """Run `work`; say why, and exit with 1, when the gateway cannot be used."""

    async def run() -> None:
        async with Gateway(GatewaySettings()) as gateway:
            await work(gateway)

    try:
        asyncio.run(run())
    except GatewayError as error:
        typer.secho(f"lastmile: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


def console() -> Console:
    """Return a console that is wide enough for tables, also where none is."""
    screen = Console()
    width = max(screen.width, COLUMNS_MIN) if screen.is_terminal else COLUMNS_PIPED
    return Console(soft_wrap=True, width=width, markup=False, highlight=False)


def rupees(paise: Any) -> str:
    """Return paise, as the gateway spells them, in rupees, such as -1,23,456.05."""
    return format_rupees(int(paise))


def table(*columns: str) -> Table:
    """Return an empty table."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made

"""`lastmile demo`."""

import asyncio
import contextlib
import signal
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.demo.traffic import Pace, Traffic
from cli.gateway import Gateway, GatewayError, GatewaySettings

REPORT_S = 30.0
PARTNERS_MIN = 150


def demo(
    rate_per_min: Annotated[
        float, typer.Option("--rate", min=0.1, max=60_000, help="Deliveries a minute, over all cities.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="Who and where: the same seed makes the same partners and orders.")] = 1,
    partners: Annotated[
        int | None, typer.Option(min=25, max=45_000, help="Partners over all cities; by default enough for the rate.")
    ] = None,
    network: Annotated[str, typer.Option(help="Code of a partner network that lends some of the partners.")] = "",
    time_lapse: Annotated[float, typer.Option(min=1, max=1_000, help="How many times faster trips run.")] = 20,
    duration_s: Annotated[float | None, typer.Option(min=1, help="Stop after this; without it, on Ctrl-C.")] = None,
) -> None:
    """Drive synthetic traffic over 25 Indian cities: orders, offers, riding partners, deliveries, failures.

    It is a client like any other: LASTMILE_GATEWAY_URL names the gateway, LASTMILE_API_KEY_FILE holds an ops API key.
    """
    count = partners or max(PARTNERS_MIN, int(rate_per_min / 2))
    pace = Pace(rate_per_min, seed, count, network, time_lapse)
    try:
        settings = GatewaySettings(client_connections_max=pace.requests_at_once_max)
        asyncio.run(_drive(settings, pace, duration_s))
    except ValidationError as error:
        problems = "; ".join(f"LASTMILE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        typer.secho(f"lastmile: {problems}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None
    except GatewayError as error:
        typer.secho(f"lastmile: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


async def _drive(settings: GatewaySettings, pace: Pace, duration_s: float | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Gateway(settings) as gateway:
        traffic = Traffic(gateway, pace, lambda text: typer.echo(f"demo: {text}"))
        tasks = [asyncio.ensure_future(traffic.run()), asyncio.ensure_future(_report(traffic))]
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({*tasks, stopped}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in tasks if task.done()]
        for task in (*tasks, stopped):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
        _say_counts(traffic)
        for task in failed:
            task.result()


async def _report(traffic: Traffic) -> None:
    while True:
        await asyncio.sleep(REPORT_S)
        _say_counts(traffic)


def _say_counts(traffic: Traffic) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in traffic.counts.items())
    typer.echo(f"demo: so far {counts or 'nothing'}")

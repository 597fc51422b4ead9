"""`lastmile sandbox`: servers that behave like other companies."""

import asyncio
import signal
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.sandbox import statement
from cli.sandbox.behaviour import Behaviour
from cli.sandbox.callbacks import Callbacks
from cli.sandbox.http_server import serving
from cli.sandbox.network import SandboxNetwork

app = typer.Typer(help="Servers that behave like companies that Lastmile depends on.", no_args_is_help=True)
app.command("statement")(statement.write)


@app.command()
def network(
    port: Annotated[int, typer.Option(help="Port of its API; 0 takes a free one")] = 8095,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    webhook_url: Annotated[str, typer.Option(help="Where its callbacks go; without one they can be polled")] = "",
    secret_file: Annotated[Path | None, typer.Option(help="Holds the secret (whsec_...) that it signs with")] = None,
    behaviour: Annotated[str, typer.Option(help="How it behaves: JSON, as PUT /control/behaviour takes it")] = "{}",
    seed: Annotated[int, typer.Option(help="The same seed draws the same faults and answers")] = 0,
) -> None:
    """Run a partner network with partners who answer offers, and with any faults that it is told to have."""
    if bool(webhook_url) != (secret_file is not None):
        raise typer.BadParameter("--webhook-url and --secret-file go together")
    try:
        behaves = Behaviour.model_validate_json(behaviour)
    except ValidationError as error:
        raise typer.BadParameter(f"--behaviour: {error}") from None
    secret = secret_file.read_text().strip() if secret_file else ""
    asyncio.run(_run(host, port, webhook_url, secret, behaves, seed))


async def _run(host: str, port: int, webhook_url: str, secret: str, behaviour: Behaviour, seed: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    random = Random(seed)  # noqa: S311 - chance that can be repeated, not a secret
    known: list[SandboxNetwork] = []
    callbacks = Callbacks(webhook_url, secret, random, lambda: known[0].behaviour.faults) if webhook_url else None
    network_ = SandboxNetwork(behaviour, random, callbacks)
    known.append(network_)
    async with serving(network_.answer, host, port) as port_:
        typer.echo(f"a partner network is at http://{host}:{port_}")
        await stop.wait()
    await network_.close()
    if callbacks is not None:
        await callbacks.close()

"""The `lastmile` command: each group of commands is a file, each command is registered here."""

import typer

from cli import alerts, live, papers, platform, recon, streams
from cli.demo import command as demo
from cli.imports import command as imports
from cli.sandbox import command as sandbox
from cli.simulate import command as simulate

app = typer.Typer(
    name="lastmile", help="Run Lastmile, fill it, look at it.", no_args_is_help=True, pretty_exceptions_enable=False
)

app.command()(platform.up)
app.command()(platform.down)
app.command()(platform.status)
app.command()(platform.doctor)
app.command()(platform.migrate)
app.command()(demo.demo)
app.command()(live.live)
app.command()(alerts.alerts)
app.add_typer(imports.app, name="import")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(simulate.app, name="simulate")
app.add_typer(papers.app, name="papers")
app.add_typer(recon.app, name="recon")
app.add_typer(streams.app, name="streams")

"""`lastmile alerts`: outages of what the company depends on."""

from typing import Annotated

import typer

from cli.gateway import Gateway
from cli.shown import console, table, with_gateway


def alerts(
    over: Annotated[bool, typer.Option("--over", help="Show those that are over too.")] = False,
) -> None:
    """List alerts, newest first, with what is done about each."""

    async def show(gateway: Gateway) -> None:
        shown = table("since", "of", "state", "what", "done about it")
        async for alert in gateway.pages("/v1/alerts", "alerts", openOnly=str(not over).lower()):
            state = alert["state"].removeprefix("ALERT_STATE_").lower()
            shown.add_row(alert["since"][:19], alert["subject"], state, alert["what"], alert["action"])
        console().print(shown)

    with_gateway(show)

"""`lastmile live`: follows what happens, and comes back to where it was whenever the stream ends."""

import asyncio
import json
from typing import Annotated

import typer

from cli.gateway import GatewayError, GatewaySettings
from cli.sse import Follower, Message

RESET = "reset"
Merchant = Annotated[str, typer.Option("--merchant", help="Only what is this merchant's (its id).")]
City = Annotated[str, typer.Option("--city", help="Only what is in this city (its code).")]
Delivery = Annotated[str, typer.Option("--delivery", help="Only what happens to this delivery (its id).")]
After = Annotated[str, typer.Option("--after", help="Begin after this id, as a line of this command shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="One CloudEvents JSON object a line.")]
Count = Annotated[int, typer.Option("--count", min=0, help="End after so many events; 0 goes on until Ctrl-C.")]


def live(
    merchant: Merchant = "",
    city: City = "",
    delivery: Delivery = "",
    after: After = "",
    as_json: AsJson = False,
    count: Count = 0,
) -> None:
    """Follow what happens, as it happens, until Ctrl-C.

    A stream that ends is opened again after the last event that was shown, so none is missing and none comes twice.
    Where the gateway cannot tell what happened in between, a line says so.

    Examples: lastmile live --city BLR; lastmile live --delivery 0190...; lastmile live --json | jq .data
    """
    query = {"merchantId": merchant, "cityCode": city, "deliveryId": delivery}
    follower = Follower(GatewaySettings(), {name: value for name, value in query.items() if value}, after)

    async def show() -> None:
        shown = 0
        async for message in follower.messages():
            _show(message, as_json)
            shown += message.name != RESET
            if count and shown >= count:
                return

    try:
        asyncio.run(show())
    except KeyboardInterrupt:
        typer.echo(f"go on with: --after {follower.last_id}", err=True)
    except GatewayError as error:
        typer.secho(f"lastmile: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


def _show(message: Message, as_json: bool) -> None:
    if message.name == RESET:
        typer.secho(f"lastmile: events are missing here: {message.data['detail']}", fg=typer.colors.YELLOW, err=True)
    elif as_json:
        typer.echo(json.dumps(message.data, ensure_ascii=False))
    else:
        data = message.data
        change = data["data"].get("change", {})
        state = change.get("toState", "").removeprefix("DELIVERY_STATE_")
        place = data.get("citycode", "-")
        typer.echo(
            "  ".join(filter(None, [data["time"], message.last_id, place, data["type"], data["subject"], state]))
        )

"""`lastmile streams`: the event streams, how far consumers are behind, and what they could not handle."""

import base64
import binascii
import json
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from lastmile.events.v1 import event_pb2

from cli.gateway import Gateway, GatewayError
from cli.shown import console, table, with_gateway

REPLAYS_MAX = 1_000
app = typer.Typer(help="Event streams, their consumers, and dead letters.", no_args_is_help=True)
dead = typer.Typer(help="What a consumer gave up on.", no_args_is_help=True)
app.add_typer(dead, name="dead")

ConsumerName = Annotated[str, typer.Argument(help="The consumer, as `lastmile streams lag` names it.")]
LetterId = Annotated[str, typer.Argument(help="The dead letter, as `lastmile streams dead list` names it.")]


@app.command(name="list")
def list_streams() -> None:
    """List the streams: one for each city and epoch, and one for what belongs to no city."""

    async def show(gateway: Gateway) -> None:
        shown = table("stream", "city", "epoch", "events", "newest")
        async for row in gateway.pages("/v1/streams", "streams"):
            events = row.get("events", "0")
            shown.add_row(row["name"], row.get("cityCode", "-"), row["epoch"], events, row.get("newestEntryId", "-"))
        console().print(shown)

    with_gateway(show)


@app.command()
def lag() -> None:
    """List the consumers and how far each is behind."""

    async def show(gateway: Gateway) -> None:
        shown = table("consumer", "processes", "unread", "pending", "dead letters")
        async for row in gateway.pages("/v1/consumers", "consumers"):
            fields = ("processes", "unreadEvents", "pendingEvents", "deadLetters")
            shown.add_row(row["name"], *(str(row.get(field, 0)) for field in fields))
        console().print(shown)

    with_gateway(show)


@app.command()
def retire(consumer: ConsumerName) -> None:
    """Forget a consumer that will not come back: streams are trimmed without it. Its dead letters stay."""

    async def ask(gateway: Gateway) -> None:
        await gateway.delete(f"/v1/consumers/{consumer}")
        typer.echo(f"{consumer} is retired")

    with_gateway(ask)


@dead.command(name="list")
def list_dead(consumer: ConsumerName) -> None:
    """List a consumer's dead letters, with the reasons."""

    async def show(gateway: Gateway) -> None:
        shown = table("id", "died at", "attempts", "reason")
        async for row in gateway.pages(f"/v1/consumers/{consumer}/deadLetters", "deadLetters"):
            shown.add_row(row["id"], row["diedAt"], str(row.get("attempts", 0)), row.get("reason", ""))
        console().print(shown)

    with_gateway(show)


@dead.command(name="show")
def show_dead(consumer: ConsumerName, letter: LetterId) -> None:
    """Show one dead letter: what is known of it, its bytes, and the event if they are one."""

    async def show(gateway: Gateway) -> None:
        found = (await gateway.get(f"/v1/consumers/{consumer}/deadLetters/{letter}"))["deadLetter"]
        content = base64.b64decode(found.pop("content", ""))
        for name, value in found.items():
            typer.echo(f"{name}: {value}")
        typer.echo(f"content: {content.decode(errors='backslashreplace')}")
        typer.echo(f"event: {_event_text(content)}")

    with_gateway(show)


@dead.command()
def replay(
    consumer: ConsumerName,
    letters: Annotated[list[str] | None, typer.Argument(help="Dead letters; without any, --all is needed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay every dead letter of the consumer.")] = False,
) -> None:
    """Put dead letters back for their consumer, and no other, to handle."""
    if bool(letters) == everything:
        raise typer.BadParameter("name dead letters, or give --all")

    async def ask(gateway: Gateway) -> None:
        replayed, chosen = 0, list(letters or ())
        # What is there now, and not what dies again meanwhile.
        rounds = await _rounds(gateway, consumer) if everything else range(0, len(chosen), REPLAYS_MAX)
        for start in rounds:
            body = {"deadLetterIds": chosen[start : start + REPLAYS_MAX]}
            answer = await gateway.post(f"/v1/consumers/{consumer}/deadLetters:replay", body)
            replayed += answer.get("replayed", 0)
        typer.echo(f"{replayed} replayed")

    with_gateway(ask)


async def _rounds(gateway: Gateway, consumer: str) -> range:
    async for row in gateway.pages("/v1/consumers", "consumers"):
        if row["name"] == consumer:
            return range(0, int(row.get("deadLetters", 0)), REPLAYS_MAX)
    raise GatewayError(f"there is no consumer {consumer}: `lastmile streams lag` lists them")


def _event_text(content: bytes) -> str:
    try:
        data = base64.b64decode(json.loads(content)["data_base64"])
        return MessageToJson(event_pb2.Event.FromString(data), indent=2)
    except (ValueError, KeyError, TypeError, binascii.Error, DecodeError) as error:
        return f"none ({type(error).__name__}: {error})"

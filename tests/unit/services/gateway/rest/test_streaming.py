"""What belongs to a streamed answer ends with it, whatever its client does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from services.gateway.rest.streaming import EndingResponse

SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}}


class Client:
    """Takes an answer. `leaves` before its first byte, or after it."""

    def __init__(self, leaves: str = "") -> None:
        self.leaves, self.taken = leaves, b""
        self.ended, self.begun = 0, False

    async def pieces(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield b"one "
        yield b"two"

    async def receive(self) -> Message:
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.leaves == ("first" if message["type"] == "http.response.start" else "later"):
            raise OSError("the client has gone")
        self.taken += message.get("body", b"")

    def end(self) -> None:
        self.ended += 1

    async def ask(self) -> None:
        stack = AsyncExitStack()
        stack.callback(self.end)
        response = EndingResponse(self.pieces(), {"X-Named": "yes"}, "text/csv", stack)
        await response(SCOPE, self.receive, self.send)


async def test_an_answer_that_is_taken_ends_once() -> None:
    client = Client()
    await client.ask()
    assert (client.taken, client.ended) == (b"one two", 1)


@pytest.mark.parametrize("leaves", ["first", "later"])
async def test_a_client_that_leaves_before_or_after_the_first_byte_ends_it_too(leaves: str) -> None:
    client = Client(leaves)
    with pytest.raises(ClientDisconnect):
        await client.ask()
    assert client.ended == 1
    assert client.begun == (leaves == "later")

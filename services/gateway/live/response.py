"""Sends a feed as server-sent events, as fast as the client takes them, until either side ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx would gather events until its buffer is full.
    "X-Accel-Buffering": "no",
}


class EventStreamResponse(Response):
    """An answer without an end of its own."""

    def __init__(self, frames: AsyncIterator[bytes], headers: dict[str, str], done: Callable[[], None]) -> None:
        """`done` is called once, however the stream ends."""
        super().__init__(headers=HEADERS | headers)
        del self.headers["content-length"]
        self._frames = frames
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the feed ends or the client is gone."""
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            ended, _ = await asyncio.gather(sending, gone, return_exceptions=True)
            self._done()
        if isinstance(ended, Exception) and not isinstance(ended, OSError):
            raise ended

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

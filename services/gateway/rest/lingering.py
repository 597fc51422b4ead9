"""The answer to a request whose body is still on its way."""

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# How long a client may take to notice that it has its answer: one whose machine is busy, seconds.
LINGER_S = 5.0


class LingeringResponse(Response):
    """Sent whole at once; what the client still sends is then thrown away for a moment, before the connection ends.

    A connection that ends while its client sends is reset, and the reset can take the answer with it (RFC 9112, 9.6).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and end when the client has stopped sending, or has had its time."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

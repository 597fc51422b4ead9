"""An answer that is given on as it comes, with what has to end when it does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class EndingResponse(StreamingResponse):
    """Gives pieces on. `ends` is left with it, also where nobody waits for its first byte any more.

    What the pieces would do at their end does not happen then: an iterator that was never begun has no end.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], headers: Mapping[str, str], media_type: str, ends: AsyncExitStack
    ) -> None:
        super().__init__(pieces, 200, headers, media_type)
        self._ends = ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave what ends with it, however that goes."""
        async with self._ends:
            await super().__call__(scope, receive, send)

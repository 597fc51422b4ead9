"""HTTP connections that end: uvicorn keeps one for ever that sends no head, of the few that there may be."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def brief(connection_s_max: float) -> type[asyncio.Protocol]:
    """Return the protocol for uvicorn, whose connections end after so long, once no request is being answered."""

    class Brief(BriefConnection):
        seconds_max = connection_s_max

    return Brief


class BriefConnection(H11Protocol):
    """uvicorn's connection, which ends."""

    seconds_max = 30.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to count."""
        super().connection_made(transport)
        self._ending = self.loop.call_later(self.seconds_max, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no more."""
        if self._ending is not None:
            self._ending.cancel()
        super().connection_lost(exc)

    def _end(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self._ending = self.loop.call_later(self.seconds_max, self._end)

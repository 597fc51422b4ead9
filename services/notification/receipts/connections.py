"""HTTP connections that end: uvicorn keeps one for ever that sends no head, of the few that there may be."""

import asyncio
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


def brief(connection_s_max: float, of_client_max: int) -> type[asyncio.Protocol]:
    """Return the protocol for uvicorn, whose connections end after so long, once no request is being answered, and of
    which one client, by its host, has so many at once."""

    class Brief(BriefConnection):
        seconds_max = connection_s_max
        client_max = of_client_max
        of_client: ClassVar[Counter[str]] = Counter()

    return Brief


class BriefConnection(H11Protocol):
    """uvicorn's connection, which ends."""

    seconds_max = 30.0
    client_max = 500
    of_client: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._ending: asyncio.TimerHandle | None = None
        self._host = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to count."""
        super().connection_made(transport)
        self._host = (transport.get_extra_info("peername") or ("unknown",))[0]
        self.of_client[self._host] += 1
        if self.of_client[self._host] > self.client_max:
            transport.close()
            return
        self._ending = self.loop.call_later(self.seconds_max, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no more."""
        if self._ending is not None:
            self._ending.cancel()
        self.of_client[self._host] -= 1
        if not self.of_client[self._host]:
            del self.of_client[self._host]
        super().connection_lost(exc)

    def _end(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self._ending = self.loop.call_later(self.seconds_max, self._end)

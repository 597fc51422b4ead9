"""Clients for providers' HTTP APIs: several small pools of connections.

A pool of httpcore looks at each of its connections several times for every request: with 64 of them that costs more
than the request itself.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import httpx

_CONNECTIONS = 8


class HttpClients:
    """So many connections in all, given out in turn. `told` is what each httpx.AsyncClient is made with."""

    def __init__(self, connections_max: int, **told: Any) -> None:
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        self._clients = [
            # The dependency bounds each attempt.
            httpx.AsyncClient(limits=limits, timeout=None, follow_redirects=False, trust_env=False, **told)  # noqa: S113 - as above
            for _ in range(math.ceil(connections_max / _CONNECTIONS))
        ]
        self._turns: Iterator[httpx.AsyncClient] = itertools.cycle(self._clients)

    def next(self) -> httpx.AsyncClient:
        """Return the client whose turn it is."""
        return next(self._turns)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

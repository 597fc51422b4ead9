"""Waiting for what other programs do, which no event of ours announces."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], poll_s: float) -> None:
    """Return when the condition holds. Bound it with asyncio.timeout, or cancel it."""
    while True:
        if await condition():
            return
        await asyncio.sleep(poll_s)

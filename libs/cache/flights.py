"""Work that many wait for and one does."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Flights(Generic[Result]):
    """At most one piece of work for each key; whoever asks meanwhile waits for that one."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Result]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._tasks

    def start(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> "asyncio.Task[Result]":
        """Return the work under way for the key, begun now if there is none. It goes on when nobody waits any more."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(_run(work))
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Hashable, task: "asyncio.Task[Result]") -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            # Whoever waited has it; where nobody waited any more, nobody asks for it.
            task.exception()


async def _run(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()

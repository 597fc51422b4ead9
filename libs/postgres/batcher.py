"""Micro-batching: items that arrive while a batch is being written make up the next one.

No timer but where one is asked for: an item that finds a writer idle is written at once, so an idle system adds no
latency, and a busy one writes larger batches, which cost less for each item.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from libs.grpc_server.errors import ResourceExhaustedError

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatcherFullError(ResourceExhaustedError):
    """More items wait than the batcher's queue may hold; try again later."""

    reason = "INTAKE_FULL"


class MicroBatcher(Generic[Item, Result]):
    """Collects items and hands them to `write` in batches, by up to `writers` concurrent writers.

    A further writer helps only while more than `helped_items_min` items wait for each one before it: larger batches
    cost less than concurrent ones, and a batch that waits for a lock must not hold up all others. Where nobody is kept
    waiting by it, a batch may wait `gather_s` for others to join it.

    `write` returns for each item its result, or the exception to raise for that item alone. When `write` itself
    raises, every item of the batch gets that exception. Run `run()` in the process's task group.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        batch_items_max: int,
        queue_items_max: int,
        writers: int,
        helped_items_min: int = 0,
        gather_s: float = 0.0,
    ) -> None:
        self._write = write
        self._batch_items_max = batch_items_max
        self._queue_items_max = queue_items_max
        self._helped_items_min = helped_items_min
        self._gather_s = gather_s
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._wakes = [asyncio.Event() for _ in range(writers)]
        self._closing = False

    async def submit(self, item: Item) -> Result:
        """Return the item's result once it is written; raise BatcherFullError when too many wait."""
        if self._closing or len(self._queue) >= self._queue_items_max:
            raise BatcherFullError("too many writes are waiting; try again")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        for place, wake in enumerate(self._wakes):
            if len(self._queue) > place * self._helped_items_min:
                wake.set()
        return await future

    async def run(self) -> None:
        """Write batches until close() was called and nothing waits any more."""
        async with asyncio.TaskGroup() as group:
            for place, wake in enumerate(self._wakes):
                group.create_task(self._write_batches(wake, place * self._helped_items_min))

    async def close(self) -> None:
        """Take no more items; run() returns when the waiting ones are written."""
        self._closing = True
        for wake in self._wakes:
            wake.set()

    async def _write_batches(self, wake: asyncio.Event, waiting_min: int) -> None:
        while self._queue or not self._closing:
            if len(self._queue) <= waiting_min and not self._closing:
                wake.clear()
                await wake.wait()
                continue
            if self._gather_s and len(self._queue) < self._batch_items_max and not self._closing:
                await asyncio.sleep(self._gather_s)
            # A caller that has gone away by now has its item dropped unwritten.
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_items_max))]
            batch = [(item, future) for item, future in taken if not future.done()]
            if batch:
                await self._write_batch(batch)

    async def _write_batch(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results: Sequence[Result | Exception] = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, every waiting caller must learn of it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

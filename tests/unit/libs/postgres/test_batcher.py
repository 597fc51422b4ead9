"""The micro-batcher: batches form while a writer is busy, and further writers help only when many wait."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.postgres.batcher import BatcherFullError, MicroBatcher


class Gate:
    """A writer that keeps every batch until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Condition()
        self.open = asyncio.Event()

    async def write(self, items: Sequence[int]) -> Sequence[int | Exception]:
        async with self.started:
            self.batches.append(list(items))
            self.started.notify_all()
        await self.open.wait()
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]

    async def batches_started(self, count: int) -> None:
        async with self.started, asyncio.timeout(10):
            await self.started.wait_for(lambda: len(self.batches) >= count)


async def submitted(batcher: MicroBatcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_items_that_come_while_the_writer_is_busy_form_one_batch() -> None:
    gate = Gate()
    batcher = MicroBatcher[int, int](
        gate.write, batch_items_max=10, queue_items_max=10, writers=2, helped_items_min=100
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run())
        first = await submitted(batcher, [1])
        await gate.batches_started(1)
        others = await submitted(batcher, [2, 3, 4])
        gate.open.set()
        assert [await task for task in (*first, *others)] == [2, 4, 6, 8]
        assert gate.batches == [[1], [2, 3, 4]]
        await batcher.close()
        await running


async def test_a_further_writer_helps_once_enough_wait() -> None:
    gate = Gate()
    batcher = MicroBatcher[int, int](gate.write, batch_items_max=4, queue_items_max=20, writers=2, helped_items_min=2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run())
        tasks = await submitted(batcher, [1])
        await gate.batches_started(1)
        tasks += await submitted(batcher, [2, 3])
        assert gate.batches == [[1]]
        tasks += await submitted(batcher, [4])
        await gate.batches_started(2)
        gate.open.set()
        assert [await task for task in tasks] == [2, 4, 6, 8]
        await batcher.close()
        await running


async def test_a_refused_item_costs_the_others_nothing() -> None:
    gate = Gate()
    gate.open.set()
    batcher = MicroBatcher[int, int](gate.write, batch_items_max=10, queue_items_max=10, writers=1)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run())
        tasks = await submitted(batcher, [5, -1, 6])
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert (answers[0], str(answers[1]), answers[2]) == (10, "-1", 12)
        await batcher.close()
        await running


async def test_what_waits_at_the_close_is_written_and_what_comes_later_refused() -> None:
    gate = Gate()
    batcher = MicroBatcher[int, int](gate.write, batch_items_max=1, queue_items_max=2, writers=2, helped_items_min=100)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run())
        tasks = await submitted(batcher, [1])
        await gate.batches_started(1)
        tasks += await submitted(batcher, [2, 3])
        with pytest.raises(BatcherFullError):
            await batcher.submit(4)
        await batcher.close()
        gate.open.set()
        assert [await task for task in tasks] == [2, 4, 6]
        with pytest.raises(BatcherFullError):
            await batcher.submit(5)
        await running


async def test_a_batch_waits_for_others_where_it_may() -> None:
    gate = Gate()
    gate.open.set()
    batcher = MicroBatcher[int, int](gate.write, batch_items_max=10, queue_items_max=10, writers=1, gather_s=0.05)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run())
        first = await submitted(batcher, [1])
        # By now the writer has found the first one, and waits.
        await asyncio.sleep(0)
        others = await submitted(batcher, [2, 3])
        assert [await task for task in (*first, *others)] == [2, 4, 6]
        assert gate.batches == [[1, 2, 3]]
        await batcher.close()
        await running

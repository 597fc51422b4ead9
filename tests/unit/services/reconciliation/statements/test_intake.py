"""Batches are made ahead, in a thread, and nobody reads the file once it may be closed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from services.reconciliation.statements.fields import Parsed
from services.reconciliation.statements.intake import made_ahead
from services.reconciliation.statements.problems import FileRefusedError, RefusedRow


class Reading:
    """A file that is read in batches of one row. The second one waits until `goes_on`."""

    def __init__(self, rows: int = 3) -> None:
        self.rows, self.made, self.reads = rows, 0, False
        self.waits, self.goes_on = threading.Event(), threading.Event()

    def batches(self) -> Iterator[Parsed]:
        for number in range(1, self.rows + 1):
            self.reads = True
            if number == 2:
                self.waits.set()
                self.goes_on.wait()
            self.reads, self.made = False, number
            yield Parsed([], [RefusedRow(number, "FIELDS_COUNT", "", "")])


async def test_all_batches_come_in_their_order() -> None:
    reading = Reading()
    reading.goes_on.set()
    assert [parsed.refused[0].line async for parsed in made_ahead(reading.batches())] == [1, 2, 3]


async def test_the_next_batch_is_made_while_one_is_worked_on() -> None:
    reading = Reading(rows=2)
    async with aclosing(made_ahead(reading.batches())) as batches:
        assert (await anext(batches)).refused[0].line == 1
        await asyncio.to_thread(reading.waits.wait)
        reading.goes_on.set()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_who_gives_up_waits_for_the_batch_that_is_being_made(is_cancelled: bool) -> None:
    reading, works = Reading(), asyncio.Event()

    async def work() -> None:
        async with aclosing(made_ahead(reading.batches())) as batches:
            async for _ in batches:
                works.set()
                if not is_cancelled:
                    raise ConnectionError

    task = asyncio.ensure_future(work())
    await works.wait()
    await asyncio.to_thread(reading.waits.wait)
    if is_cancelled:
        task.cancel()
    done, _ = await asyncio.wait([task], timeout=0)
    assert not done
    reading.goes_on.set()
    with pytest.raises(asyncio.CancelledError if is_cancelled else ConnectionError):
        await task
    assert (reading.reads, reading.made) == (False, 2)


async def test_a_file_that_is_refused_says_so_once_the_batches_before_are_taken() -> None:
    def batches() -> Iterator[Parsed]:
        yield Parsed([], [])
        raise FileRefusedError("ROWS_TOO_MANY", "more than 1 rows")

    made = made_ahead(batches())
    assert await anext(made) == Parsed([], [])
    with pytest.raises(FileRefusedError, match="more than 1 rows"):
        await anext(made)

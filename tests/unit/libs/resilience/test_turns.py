import asyncio

import pytest

from libs.resilience.turns import Turns


class FullError(Exception):
    pass


async def test_who_has_no_turn_waits_briefly_and_who_cannot_wait_is_refused_at_once() -> None:
    turns = Turns(2, 1, 10_000, FullError)
    done, refused = [], 0
    hold = asyncio.Event()

    async def work(n: int) -> None:
        async with turns.turn():
            await hold.wait()
            done.append(n)

    tasks = [asyncio.create_task(work(n)) for n in range(5)]
    while not any(task.done() for task in tasks):
        await asyncio.sleep(0)
    hold.set()
    for task in tasks:
        try:
            await task
        except FullError:
            refused += 1
    assert (len(done), refused) == (3, 2)


async def test_a_wait_ends_and_gives_its_place_back() -> None:
    turns = Turns(1, 1, 20, FullError)
    async with turns.turn():
        for _ in range(3):
            with pytest.raises(FullError):
                async with turns.turn():
                    pass
    async with turns.turn():
        pass

import asyncio

import pytest

from services.gateway.rest.limits import RestLimits
from services.gateway.rest.problems import ProblemError
from services.gateway.rest.upstream import Upstream

LIMITS = RestLimits(reads_at_once_max=2, reads_waiting_max=1, read_wait_ms_max=60_000)


async def test_a_command_never_waits_for_reads_and_reads_beyond_their_turns_are_refused() -> None:
    upstream, release = Upstream("127.0.0.1:1", LIMITS), asyncio.Event()
    begun: list[str] = []

    async def work(name: str, *, is_read: bool) -> None:
        async with upstream.turn(is_read=is_read):
            begun.append(name)
            await release.wait()

    tasks = [asyncio.create_task(work(f"read {number}", is_read=True)) for number in range(3)]
    tasks += [asyncio.create_task(work(f"command {number}", is_read=False)) for number in range(5)]
    await asyncio.sleep(0)
    assert begun == ["read 0", "read 1", *(f"command {number}" for number in range(5))]
    with pytest.raises(ProblemError) as refused:
        await work("one too many", is_read=True)
    assert (refused.value.problem.status, refused.value.problem.reason) == (503, "READS_TOO_MANY")
    release.set()
    await asyncio.gather(*tasks)
    assert begun[-1] == "read 2"
    await upstream.close()


async def test_a_read_that_waits_too_long_is_refused() -> None:
    upstream = Upstream("127.0.0.1:1", LIMITS.model_copy(update={"reads_at_once_max": 1, "read_wait_ms_max": 10}))
    async with upstream.turn(is_read=True):
        with pytest.raises(ProblemError):
            async with upstream.turn(is_read=True):
                pass
    async with upstream.turn(is_read=True):
        pass
    await upstream.close()

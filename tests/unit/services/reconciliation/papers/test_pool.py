"""The pool bounds what waits, gives up on what takes too long, and goes on after a process has died."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator

import pytest

from services.reconciliation.errors import PapersTooManyError, PaperTooSlowError
from services.reconciliation.papers.label import LabelSheet
from services.reconciliation.papers.limits import PaperLimits
from services.reconciliation.papers.pool import RenderPool
from services.reconciliation.papers.rendering import RenderingError, pdf
from tests.made_up_papers import INVOICE, LABEL, made_up_sheet

SHEET = LabelSheet((LABEL,))


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    async with RenderPool(PaperLimits(processes=1, waiting_max=2)) as made:
        yield made


def processes() -> list[multiprocessing.process.BaseProcess]:
    return [process for process in multiprocessing.active_children() if process.name == "papers"]


async def test_a_process_makes_what_would_be_made_here(pool: RenderPool) -> None:
    assert await pool.pdf(SHEET) == pdf(SHEET)
    assert await pool.pdf(INVOICE) == pdf(INVOICE)
    assert len(processes()) == 1


async def test_what_would_wait_too_long_is_refused_at_once(pool: RenderPool) -> None:
    asked = [asyncio.create_task(pool.pdf(made_up_sheet(seed))) for seed in range(6)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in done] == [bytes, bytes, bytes, *[PapersTooManyError] * 3]
    assert await pool.pdf(SHEET) == pdf(SHEET)


async def test_a_process_that_dies_costs_its_paper_only(pool: RenderPool) -> None:
    await pool.pdf(SHEET)
    (victim,) = processes()
    victim.kill()
    victim.join()
    with pytest.raises(RenderingError, match="died"):
        await pool.pdf(SHEET)
    assert await pool.pdf(SHEET) == pdf(SHEET)


async def test_a_paper_that_cannot_be_set_says_why_and_its_process_lives(pool: RenderPool) -> None:
    with pytest.raises(RenderingError, match="IndexError"):
        await pool.pdf(LabelSheet(()))
    assert await pool.pdf(SHEET) == pdf(SHEET)
    assert len(processes()) == 1


async def test_one_that_takes_too_long_is_given_up_with_its_process() -> None:
    async with RenderPool(PaperLimits(processes=1, render_s_max=0.001)) as pool:
        with pytest.raises(PaperTooSlowError):
            await pool.pdf(made_up_sheet(1, labels=100))
        assert processes() == []


async def test_a_process_makes_way_for_a_new_one() -> None:
    async with RenderPool(PaperLimits(processes=1, papers_a_process_max=2)) as pool:
        await pool.pdf(SHEET)
        first = [process.pid for process in processes()]
        await pool.pdf(SHEET)
        assert processes() == []
        await pool.pdf(SHEET)
        assert [process.pid for process in processes()] != first
    assert processes() == []


async def test_who_goes_away_gives_up_its_place(pool: RenderPool) -> None:
    asked = [asyncio.create_task(pool.pdf(made_up_sheet(seed, labels=50))) for seed in range(3)]
    await asyncio.sleep(0)
    for task in asked[1:]:
        task.cancel()
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in done] == [bytes, asyncio.CancelledError, asyncio.CancelledError]
    assert await asyncio.gather(*(pool.pdf(SHEET) for _ in range(3))) == [pdf(SHEET)] * 3

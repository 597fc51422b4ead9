"""Hand-overs that are corrected, as the desk sees them: nothing is decided about an amount that is owed no more."""

from datetime import timedelta

import asyncpg
import pytest

from tests.desk_api import BILAL, KIND, DeskApi, balance, follow, of_class, refused
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.test_corrected_runs import SECOND, a_day, correct
from tests.integration.services.reconciliation.test_successive_runs import line
from tests.recon import NOW, Day, Owed
from tests.recon_runs import run_once, taken_in

WRITE_OFF = KIND.RESOLUTION_KIND_WRITE_OFF
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def at_desk(api: LedgerApi) -> DeskApi:
    return DeskApi(api)


async def after_a_run(clean: asyncpg.Connection, pool: asyncpg.Pool, *paid_paise: int) -> Owed:
    """A delivery of which so much was paid, as a run has found."""
    day, one = await a_day(clean)
    lines = [line(one, paise, number) for number, paise in enumerate(paid_paise)]
    await taken_in(pool, Day(paid=[*day.paid, *lines]).file())
    await run_once(pool)
    return one


async def test_what_is_missing_is_given_up_as_it_was_corrected(
    clean: asyncpg.Connection, pool: asyncpg.Pool, at_desk: DeskApi
) -> None:
    one = await after_a_run(clean, pool)
    await correct(clean, one, 200, LATER)
    await follow(at_desk.api, clean)
    (case,) = await of_class(at_desk, "missing_payout")
    assert case.rest_paise == -one.payout_paise
    assert await refused(at_desk.resolve([case], WRITE_OFF)) == "SETTLED_MEANWHILE"
    await run_once(pool, SECOND)
    await follow(at_desk.api, clean)
    (case,) = await of_class(at_desk, "missing_payout")
    assert case.rest_paise == -one.payout_paise - 200
    await at_desk.resolve([case], WRITE_OFF)
    assert await balance(clean, "platform:write_offs") == -one.payout_paise - 200
    assert await balance(clean, f"partner:{one.partner_id}") == await owed_besides(clean, one)


async def owed_besides(clean: asyncpg.Connection, one: Owed) -> int:
    """What is owed to a delivery's partner for others."""
    found: int = await clean.fetchval(
        "SELECT coalesce(sum(p.paise), 0)::bigint FROM reconciliation.postings p"
        " JOIN reconciliation.entries e ON e.id = p.entry_id WHERE p.account = $1 AND e.delivery_id <> $2",
        f"partner:{one.partner_id}", one.delivery_id,
    )  # fmt: skip
    return found


@pytest.mark.parametrize(("kind", "paid_more", "corrected"), [("underpaid", -300, -300), ("overpaid", 300, 400)])
async def test_a_case_that_a_correction_explains_is_settled_by_the_next_run(
    clean: asyncpg.Connection, pool: asyncpg.Pool, at_desk: DeskApi, kind: str, paid_more: int, corrected: int
) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise + paid_more)]).file())
    await run_once(pool)
    await correct(clean, one, corrected, LATER)
    await run_once(pool, SECOND)
    await follow(at_desk.api, clean)
    assert await of_class(at_desk, kind) == []
    # What is more than was paid may be paid still.
    if rest := corrected - paid_more:
        await taken_in(pool, Day(paid=[line(one, rest, number=5)]).file())
        await run_once(pool, SECOND.replace(day=29))
        await follow(at_desk.api, clean)
        assert await at_desk.cases() == []


async def test_a_case_is_worth_what_is_left_of_it_after_a_correction(
    clean: asyncpg.Connection, pool: asyncpg.Pool, at_desk: DeskApi
) -> None:
    day, one = await a_day(clean)
    await taken_in(pool, Day(paid=[*day.paid, line(one, one.payout_paise - 300)]).file())
    await run_once(pool)
    await correct(clean, one, -100, LATER)
    for number in (1, 2):
        await run_once(pool, SECOND.replace(day=27 + number))
        await follow(at_desk.api, clean)
        (case,) = await of_class(at_desk, "underpaid")
        assert case.rest_paise == -200


async def test_what_was_proposed_of_another_amount_is_not_approved(
    clean: asyncpg.Connection, pool: asyncpg.Pool, at_desk: DeskApi
) -> None:
    one = await after_a_run(clean, pool)
    # It is worth so much that one alone may not give it up.
    await correct(clean, one, 5_000_000, LATER)
    await run_once(pool, SECOND)
    await follow(at_desk.api, clean)
    proposed = (await at_desk.resolve(await of_class(at_desk, "missing_payout"), WRITE_OFF)).resolution
    assert proposed.outcome == ""
    await correct(clean, one, -200, LATER + timedelta(days=1))
    assert await refused(at_desk.approve(proposed.id, BILAL)) == "SETTLED_MEANWHILE"
    await run_once(pool, SECOND.replace(day=29))
    assert await refused(at_desk.approve(proposed.id, BILAL)) == "CASE_STATE"
    await at_desk.decline(proposed.id, BILAL)
    await follow(at_desk.api, clean)
    again = (await at_desk.resolve(await of_class(at_desk, "missing_payout"), WRITE_OFF)).resolution
    assert again.amount_paise == proposed.amount_paise - 200
    await at_desk.approve(again.id, BILAL)
    assert await balance(clean, "platform:write_offs") == -again.amount_paise

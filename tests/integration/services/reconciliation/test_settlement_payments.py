"""What runs found that was paid and handed in is booked once, and taken off what a cycle owes."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from services.reconciliation.ledger.postings import Account
from services.reconciliation.runs.limits import RunLimits
from services.reconciliation.settlements.closing.closer import Closer
from services.reconciliation.settlements.explaining import explain_line
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.opening import open_now
from services.reconciliation.settlements.reading import store as reading
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.settling import (
    PAID_PAISE,
    bank_says,
    closed,
    found_paid,
    paid_by_others,
    paid_out,
    payouts_in,
)
from tests.integration.services.reconciliation.test_api import refused
from tests.invariants import broken_invariants
from tests.recon import NOW, add_to_ledger, day_of
from tests.recon_runs import booked, run_once, taken_in
from tests.recon_tables import emptied
from tests.settlements import City, balances

LIMITS = SettlementLimits(cycle="never", settle_s=0, entries_piece=100, parties_piece=10)
_SETTLED = """
SELECT l.payee, sum(l.paise)::bigint AS paise FROM reconciliation.results r
JOIN reconciliation.statement_lines l ON l.statement_id = r.statement_id AND l.line = r.line GROUP BY l.payee
"""
_BOOKED = "SELECT party, sum(paise)::bigint AS paise FROM reconciliation.settlement_payments GROUP BY party"


@pytest.fixture
async def clean(owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    async with emptied(owner):
        yield owner


async def worked(worker: asyncpg.Pool) -> None:
    closer = Closer(worker, LIMITS)
    while await closer.work_once():
        pass


async def test_what_statements_say_was_paid_is_booked_once_and_explained(
    clean: asyncpg.Connection, worker: asyncpg.Pool, embedded_servers: EmbeddedServers
) -> None:
    day = day_of(400, seed=8, every=20)
    await add_to_ledger(clean, day.owed)
    await taken_in(worker, day.file())
    await run_once(worker)
    await worked(worker)
    await worked(worker)
    booked = {row["party"]: row["paise"] for row in await clean.fetch(_BOOKED)}
    assert booked == {row["payee"]: row["paise"] for row in await clean.fetch(_SETTLED)}
    assert booked
    async with worker.acquire() as connection:
        # What was booked just now is in it too.
        later = max(NOW, await connection.fetchval("SELECT now()")) + timedelta(seconds=1)
        async with connection.transaction():
            cycle, _ = await open_now(connection, LIMITS, "", "test", later)
    await worked(worker)
    async with worker.acquire() as connection:
        of = await reading.cycle(connection, cycle.cycle_no)
        assert of is not None
        statements = {one.party: one for one in await reading.statements(connection, of, "", 10_000)}
        wanted = await balances(clean, list(statements))
        assert {party: one.totals.closing_paise for party, one in statements.items()} == wanted
        kinds: Counter[str] = Counter()
        for party in list(booked)[:20]:
            for line in await reading.lines(connection, cycle.cycle_no, party):
                if line.kind in ("payment", "remittance"):
                    explained = await explain_line(connection, Account.parse(party), line.entry_id)
                    assert explained is not None
                    assert explained.agrees
                    assert explained.payment is not None
                    kinds[line.kind] += explained.payment.lines_count
    assert kinds["payment"] > 0
    assert kinds["remittance"] > 0
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}


async def test_what_a_chunk_has_settled_is_booked_though_it_was_given_up(
    clean: asyncpg.Connection, worker: asyncpg.Pool
) -> None:
    day = day_of(200, seed=8, every=1_000)
    await add_to_ledger(clean, day.owed)
    await taken_in(worker, day.file())
    await run_once(worker, limits=RunLimits(chunk_rows=100))
    # As if its first chunk had been given up after its lines were matched: nobody would be paid a second time.
    await clean.execute(
        "UPDATE reconciliation.run_chunks SET state = 'classify', is_quarantined = true WHERE chunk = 0"
    )
    await worked(worker)
    await worked(worker)
    settled = {row["payee"]: row["paise"] for row in await clean.fetch(_SETTLED)}
    assert {row["party"]: row["paise"] for row in await clean.fetch(_BOOKED)} == settled


@pytest.mark.parametrize(("paid_paise", "left_paise"), [(PAID_PAISE, 0), (4_000, PAID_PAISE - 4_000)])
async def test_what_was_paid_since_the_cycle_ended_is_not_paid_again(
    clean: asyncpg.Connection, api: LedgerApi, city: City, paid_paise: int, left_paise: int
) -> None:
    (told,) = await city.hand_over(cash_paise=0)
    cycle_no, party = await closed(api, city), f"partner:{told.partner_id}"
    await paid_by_others(city, told, paid_paise)
    batch = await paid_out(api, cycle_no)
    assert (batch.payouts_count, batch.amount_paise) == (int(left_paise > 0), left_paise)
    # The next statement shows it, and the next payouts do not take it off once more.
    await city.hand_over(cash_paise=0, partner_id=told.partner_id)
    second = await closed(api, city)
    totals = (await city.statements(second))[party].totals
    assert totals.closing_paise == 2 * PAID_PAISE - paid_paise
    assert (await paid_out(api, second)).amount_paise == PAID_PAISE


async def test_a_payout_that_the_bank_has_confirmed_is_taken_off_once(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    (told,) = await city.hand_over(cash_paise=0)
    first = await closed(api, city)
    await paid_out(api, first)
    [(reference, paise)] = (await payouts_in(api, first)).values()
    await city.hand_over(cash_paise=0, partner_id=told.partner_id)
    second = await closed(api, city)
    await bank_says(api, city, (reference, "PAID", paise))
    assert (await paid_out(api, second)).amount_paise == PAID_PAISE


async def test_nothing_is_paid_out_before_what_a_run_has_found_is_booked(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    (told,) = await city.hand_over(cash_paise=0)
    cycle_no = await closed(api, city)
    await found_paid(city, told, PAID_PAISE)
    request = pb.CreatePayoutsRequest(cycle_no=cycle_no)
    assert await refused(api, api.settlements.CreatePayouts, request) == "PAYMENTS_NOT_BOOKED"
    await booked(city.worker, [city.city_code])
    assert (await paid_out(api, cycle_no)).payouts_count == 0

"""Settling over the api as ops and the bank do it."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

from lastmile.reconciliation.v1 import settlement_pb2 as pb
from lastmile.reconciliation.v1 import statement_pb2

from libs.ids import new_id
from libs.postgres.log_position import position
from services.reconciliation.runs.limits import RunLimits
from services.reconciliation.statements.intake import ReceivedFile, take_in
from services.reconciliation.statements.limits import IntakeLimits
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.ledger_events import Told
from tests.recon import Day, Paid
from tests.recon_runs import booked, run_once, taken_in
from tests.settlements import City

PAID_PAISE = 10_671


async def seen(api: LedgerApi, city: City) -> None:
    """Have the api see what was committed by now."""
    async with city.books.acquire() as connection:
        api.has_seen(await position(connection))


async def closed(api: LedgerApi, city: City) -> int:
    cycle_no = await city.close()
    await seen(api, city)
    return cycle_no


async def paid_out(api: LedgerApi, cycle_no: int) -> pb.PayoutBatch:
    return (await api.ask(api.settlements.CreatePayouts, pb.CreatePayoutsRequest(cycle_no=cycle_no))).batch


async def file_of(api: LedgerApi, cycle_no: int, form: int = pb.PAYOUT_FILE_FORMAT_CSV) -> bytes:
    request = pb.DownloadPayoutFileRequest(cycle_no=cycle_no, format=form)  # type: ignore[arg-type]  # one of the enum's
    call = api.settlements.DownloadPayoutFile(request, metadata=api.metadata(), timeout=20)
    return b"".join([piece.content async for piece in call])


async def payouts_in(api: LedgerApi, cycle_no: int) -> dict[str, tuple[str, int]]:
    """The reference and paise of each payout, by its party, as the file says."""
    rows = csv.DictReader(io.StringIO((await file_of(api, cycle_no)).decode()))
    return {
        row["beneficiary"]: (row["reference"], int(row["amount"].replace(".", "")))
        for row in rows
        if row["record"] == "PAYOUT"
    }


async def found_paid(city: City, told: Told, paise: int, *others: Paid) -> None:
    """Have a run find that a payment partner has paid a delivery, and what others there are."""
    line = Paid(str(told.delivery_id), told.partner_id, paise, datetime.now(UTC))
    await taken_in(city.worker, Day(paid=[line, *others]).file())
    await run_once(city.worker, datetime.now(UTC) + timedelta(minutes=1), RunLimits(settle_s=0))


async def paid_by_others(city: City, told: Told, paise: int, *others: Paid) -> None:
    """The same, and have it booked."""
    await found_paid(city, told, paise, *others)
    await booked(city.worker, [city.city_code])


async def bank_says(
    api: LedgerApi, city: City, *rows: tuple[str, str, int], confirms: bool = True
) -> pb.ConfirmPayoutsResponse:
    """Take in a statement of the bank, of references with a word each, and let it settle payouts."""
    source = f"bank-{new_id()}"
    mapping = statement_pb2.StatementMapping(
        format=statement_pb2.STATEMENT_FORMAT_CSV,
        columns={"reference": "ref", "amount": "amount", "paid_at": "at", "leg": "status"},
        legs={"PAID": "payout", "RETURNED": "cash"},
        payee="network:bank",
        amounts_in_paise=True,
        confirms_payouts=confirms,
    )
    await api.ask(api.statements.SaveMapping, statement_pb2.SaveMappingRequest(source_code=source, mapping=mapping))
    at = datetime.now(UTC).isoformat()
    content = "ref,amount,at,status\n" + "".join(f"{ref},{paise},{at},{word}\n" for ref, word, paise in rows)
    async with city.worker.acquire() as connection, connection.transaction():
        with ReceivedFile(IntakeLimits()) as received:
            received.add(content.encode())
            taken = await take_in(connection, received, source, "day.csv", "test", datetime.now(UTC), IntakeLimits())
    request = pb.ConfirmPayoutsRequest(statement_id=str(taken.statement.id))
    answer: pb.ConfirmPayoutsResponse = await api.ask(api.settlements.ConfirmPayouts, request)
    again = await api.ask(api.settlements.ConfirmPayouts, request)
    assert {tally.outcome for tally in again.tallies} <= {
        "same",
        "unknown_reference",
        "amount_differs",
        "paid_after_return",
    }
    await seen(api, city)
    return answer


def outcomes(answer: pb.ConfirmPayoutsResponse) -> dict[str, int]:
    return {tally.outcome: tally.lines_count for tally in answer.tallies}


def line_of(told: Told, statement_line: str, **more: object) -> dict[str, Any]:
    return {"party_kind": "partner", "party_owner": str(told.partner_id), "entry_id": statement_line, **more}


async def first_line(city: City, cycle_no: int, told: Told) -> str:
    found = await city.statement(cycle_no, f"partner:{told.partner_id}")
    assert found is not None
    return str(found.lines[0].entry_id)


async def other_line(city: City, cycle_no: int, party: str, entry_id: str) -> str:
    found = await city.statement(cycle_no, party)
    assert found is not None
    return next(str(line.entry_id) for line in found.lines if str(line.entry_id) != entry_id)

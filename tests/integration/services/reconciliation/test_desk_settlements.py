"""The desk and settlements: what is given up is not paid out too."""

from datetime import UTC, datetime

import asyncpg
from lastmile.reconciliation.v1 import exception_pb2

from libs.ids import new_id
from tests.desk_api import KIND, DeskApi, balance, follow, refused
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.settling import PAID_PAISE, closed, paid_out
from tests.integration.services.reconciliation.test_settled_legs import Runs
from tests.recon import Day, Paid
from tests.recon_runs import taken_in
from tests.settlements import City

MATCH, WRITE_OFF = KIND.RESOLUTION_KIND_MATCH, KIND.RESOLUTION_KIND_WRITE_OFF


async def found(runs: Runs, desk: DeskApi, owner: asyncpg.Connection) -> list[exception_pb2.Case]:
    """The cases after a further run."""
    await runs.again()
    await follow(desk.api, owner)
    return await desk.cases()


async def test_what_a_settlement_pays_is_not_given_up_as_the_rest_of_a_match(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    desk, runs = DeskApi(api), Runs(pool, clean)
    partner_id = new_id()
    await city.hand_over(2, cash_paise=0, partner_id=partner_id)
    await paid_out(api, await closed(api, city))
    missing = await found(runs, desk, clean)
    assert [case.rest_paise for case in missing] == [-PAID_PAISE, -PAID_PAISE]
    assert await refused(desk.resolve(missing, WRITE_OFF)) == "SETTLED_MEANWHILE"
    # Nothing was paid that these could be what is owed for.
    assert await refused(desk.resolve(missing, MATCH, write_off_rest=True)) == "CASES_REFUSED"

    line = Paid(str(new_id()), partner_id, 2 * PAID_PAISE, datetime.now(UTC))
    await taken_in(pool, Day(paid=[line, Paid(str(new_id()), partner_id, 100, datetime.now(UTC))]).file())
    cases = await found(runs, desk, clean)
    paid, little = sorted((case for case in cases if case.rest_paise > 0), key=lambda case: -case.rest_paise)
    assert await refused(desk.resolve([*missing, little], MATCH, write_off_rest=True)) == "SETTLED_MEANWHILE"
    assert await balance(clean, "platform:write_offs") == 0
    # Whoever is paid twice owes it back: nothing is given up by that.
    await desk.resolve([*missing, paid], MATCH)
    assert await balance(clean, "platform:write_offs") == 0
    assert await balance(clean, f"partner:{partner_id}") == 0

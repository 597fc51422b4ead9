"""The exceptions desk on real servers: what is decided, by whom, and what it books."""

import asyncio

import asyncpg
import pytest
from lastmile.reconciliation.v1 import exception_pb2

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from tests.desk_api import ASHA, BILAL, KIND, STATE, DeskApi, balance, follow, ids, of_class, refused
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.invariants import broken_invariants
from tests.recon import NOW, Day, Paid, add_to_ledger, day_of
from tests.recon_runs import run_once, taken_in


async def test_every_discrepancy_is_a_case_with_a_suggestion(desk: DeskApi, clean: asyncpg.Connection) -> None:
    cases = await desk.cases(page_size=500)
    assert len(cases) == await clean.fetchval("SELECT count(*) FROM reconciliation.discrepancies")
    assert {case.state for case in cases} == {STATE.CASE_STATE_OPEN}
    assert all(case.suggestion.because and case.suggestion.confidence_pct for case in cases)
    paged = exception_pb2.ListCasesRequest(page_size=7)
    seen: list[str] = []
    while True:
        answer = await desk.api.ask(desk.stub.ListCases, paged)
        seen += ids(list(answer.cases))
        if not answer.next_page_token:
            break
        paged.page_token = answer.next_page_token
    assert seen == ids(cases)
    ages = (await desk.api.ask(desk.stub.GetCaseAges, exception_pb2.GetCaseAgesRequest())).ages
    assert sum(age.cases_count for age in ages) == len(cases)
    assert sum(age.paise for age in ages) == sum(abs(case.rest_paise) for case in cases)


async def test_what_is_below_the_limit_is_written_off_by_one_and_booked(
    desk: DeskApi, clean: asyncpg.Connection
) -> None:
    case = (await of_class(desk, "overpaid"))[0]
    made = await desk.resolve([case], KIND.RESOLUTION_KIND_WRITE_OFF)
    assert (made.resolution.outcome, made.cases[0].state) == ("approved", STATE.CASE_STATE_RESOLVED)
    assert await balance(clean, "platform:write_offs") == 150
    shown = await desk.shown(case)
    assert (shown.resolution.amount_paise, shown.trail[0].actor) == (150, "asha")
    entry = await clean.fetchrow(
        "SELECT kind::text, event_ids FROM reconciliation.entries WHERE id = $1", shown.entry_id
    )
    assert (entry["kind"], [str(one) for one in entry["event_ids"]]) == ("resolution", [case.discrepancy.id])
    assert case.discrepancy.id not in ids(await desk.cases(page_size=500))
    assert await refused(desk.resolve([case], KIND.RESOLUTION_KIND_DISMISS)) == "CASE_STATE"


async def test_what_is_above_the_limit_is_decided_by_another(desk: DeskApi, clean: asyncpg.Connection) -> None:
    cases = await desk.cases(page_size=500)
    many = [case for case in cases if case.discrepancy.leg == "payout"][:30]
    proposed = (await desk.resolve(many, KIND.RESOLUTION_KIND_WRITE_OFF)).resolution
    assert (proposed.outcome, proposed.amount_paise) == ("", sum(abs(case.rest_paise) for case in many))
    assert proposed.amount_paise > proposed.limit_paise
    assert await balance(clean, "platform:write_offs") == 0
    assert await refused(desk.approve(proposed.id, ASHA)) == "OWN_PROPOSAL"
    assert await refused(desk.decline(proposed.id, ASHA)) == "OWN_PROPOSAL"
    waiting = exception_pb2.ListResolutionsRequest(proposed_only=True)
    assert [one.id for one in (await desk.api.ask(desk.stub.ListResolutions, waiting)).resolutions] == [proposed.id]
    declined = await desk.decline(proposed.id, BILAL)
    assert {(case.state, case.assignee) for case in declined.cases} == {(STATE.CASE_STATE_ASSIGNED, "asha")}
    assert await refused(desk.approve(proposed.id, BILAL)) == "RESOLUTION_DECIDED"
    again = (await desk.resolve(many, KIND.RESOLUTION_KIND_WRITE_OFF)).resolution
    approved = await desk.approve(again.id, BILAL)
    assert {case.state for case in approved.cases} == {STATE.CASE_STATE_RESOLVED}
    assert (await desk.approve(again.id, BILAL)).resolution == approved.resolution
    lost = sum(case.rest_paise for case in many)
    assert await balance(clean, "platform:write_offs") == lost
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.entries WHERE kind = 'resolution'") == 1


async def test_the_database_lets_nobody_approve_his_own(
    desk: DeskApi, clean: asyncpg.Connection, embedded_servers: EmbeddedServers
) -> None:
    cases = [case for case in await desk.cases(page_size=500) if case.discrepancy.leg == "payout"][:30]
    proposed = (await desk.resolve(cases, KIND.RESOLUTION_KIND_WRITE_OFF)).resolution
    operator = await asyncpg.connect(embedded_servers.dsn("reconciliation_api"))
    await operator.execute("SET ROLE reconciliation_operator")
    approve = (
        "UPDATE reconciliation.resolutions SET outcome = 'approved', decided_by = $2, decided_at = now() WHERE id = $1"
    )
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="nobody_approves_his_own"):
            await operator.execute(approve, proposed.id, "asha")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute(
                "UPDATE reconciliation.resolutions SET limit_paise = NULL WHERE id = $1", proposed.id
            )
        with pytest.raises(asyncpg.CheckViolationError, match="is not approved"):
            await operator.execute("UPDATE reconciliation.cases SET state = 'resolved'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute(
                "INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, occurred_at, booked_at,"
                " postings_count) VALUES ($1, 'resolution', $2, $3, now(), now(), 0)",
                new_id(), proposed.id, [new_id()])  # fmt: skip
        # Who owns the table can do no more.
        with pytest.raises(asyncpg.CheckViolationError):
            await clean.execute(approve, proposed.id, "asha")
        await clean.execute(approve, proposed.id, "bilal")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await clean.execute(approve, proposed.id, "chitra")
    finally:
        await operator.close()


async def test_lines_that_are_together_what_is_missing_are_resolved_as_one_and_settled_for_good(
    api: LedgerApi, clean: asyncpg.Connection, pool: asyncpg.Pool, embedded_servers: EmbeddedServers
) -> None:
    day = day_of(20, seed=4, every=1_000)
    one = next(owed for owed in day.owed if not owed.cash_paise)
    await add_to_ledger(clean, day.owed)
    paid = [row for row in day.paid if row.reference != str(one.delivery_id)]
    half = one.payout_paise // 2
    parts = [half, one.payout_paise - half - 5]
    paid += [Paid(str(new_id()), one.partner_id, paise, one.at) for paise in parts]
    await taken_in(pool, Day(paid=paid).file())
    await run_once(pool)
    await follow(api, clean)
    desk = DeskApi(api)
    cases = await desk.cases()
    assert sorted(getattr(case.discrepancy, "class") for case in cases) == [
        "missing_payout", "unknown_delivery", "unknown_delivery",
    ]  # fmt: skip
    assert await refused(desk.resolve(cases, KIND.RESOLUTION_KIND_MATCH)) == "CASES_REFUSED"
    made = await desk.resolve(cases, KIND.RESOLUTION_KIND_MATCH, write_off_rest=True)
    assert (made.resolution.amount_paise, made.resolution.outcome) == (5, "approved")
    assert await balance(clean, "platform:write_offs") == -5
    assert await balance(clean, f"partner:{one.partner_id}") == one.payout_paise - sum(
        owed.payout_paise for owed in day.owed if owed.partner_id == one.partner_id
    )
    assert await balance(clean, "platform:bank") == -sum(parts)
    rows = await clean.fetch("SELECT outcome, is_settling, paid_paise FROM reconciliation.results WHERE rule = 'desk'")
    assert sorted((row["is_settling"], row["paid_paise"]) for row in rows) == [
        *((False, part) for part in sorted(parts)), (True, one.payout_paise),
    ]  # fmt: skip
    # A further run has nothing to do with any of it.
    await run_once(pool, NOW.replace(day=28))
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.discrepancies") == 3
    await follow(api, clean)
    assert await desk.cases() == []
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}


async def test_what_a_run_settles_by_itself_closes_its_case_also_one_that_is_proposed(
    api: LedgerApi, clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    day = day_of(60, seed=6, every=1_000)
    late = day.owed[3:50]
    named = {str(one.delivery_id) for one in late}
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, Day(paid=[row for row in day.paid if row.reference not in named]).file())
    await run_once(pool)
    await follow(api, clean)
    desk = DeskApi(api)
    missing = await desk.cases(**{"class": "missing_payout", "page_size": 100})
    await desk.api.ask(desk.stub.AssignCases, exception_pb2.AssignCasesRequest(
        case_ids=ids(missing[:1]), assignee="asha"), ASHA)  # fmt: skip
    proposed = (await desk.resolve(missing[2:], KIND.RESOLUTION_KIND_WRITE_OFF)).resolution
    assert (proposed.outcome, proposed.amount_paise > proposed.limit_paise) == ("", True)
    await taken_in(pool, Day(paid=[row for row in day.paid if row.reference in named]).file())
    await run_once(pool, NOW.replace(day=28))
    await follow(api, clean)
    assert await desk.cases(page_size=500) == []
    touched, untouched = await desk.shown(missing[0]), await desk.shown(missing[1])
    assert touched.case.state == untouched.case.state == STATE.CASE_STATE_RESOLVED
    assert touched.case.discrepancy.settled_run_no == 2
    assert [(row.actor, row.action) for row in touched.trail] == [("asha", "assign"), ("runs", "settle")]
    assert not untouched.trail
    assert await refused(desk.resolve(missing[:1], KIND.RESOLUTION_KIND_WRITE_OFF)) == "CASE_STATE"
    # What was to be approved is nobody's to approve any more.
    assert (await desk.shown(missing[2])).case.state == STATE.CASE_STATE_RESOLVED
    assert await refused(desk.approve(proposed.id, BILAL)) == "CASE_STATE"
    await desk.decline(proposed.id, BILAL)
    assert (await desk.shown(missing[2])).case.state == STATE.CASE_STATE_RESOLVED
    assert await balance(clean, "platform:write_offs") == 0


_UNDO = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, reverses, postings_count, occurred_at, booked_at)
SELECT gen_random_uuid(), 'reversal', gen_random_uuid(), event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, id, postings_count, occurred_at, booked_at
FROM reconciliation.entries WHERE delivery_id = $1 AND kind = 'earnings'
"""


async def test_what_the_ledger_has_undone_is_not_written_off_as_if_it_were_owed(
    desk: DeskApi, clean: asyncpg.Connection
) -> None:
    case, *_ = await desk.cases(**{"class": "missing_payout", "page_size": 10})
    async with clean.transaction():
        # Past the ledger's triggers: the postings of the reversal are no concern of the desk.
        await clean.execute("SET LOCAL session_replication_role = replica")
        await clean.execute(_UNDO, case.discrepancy.delivery_id)
    assert await refused(desk.resolve([case], KIND.RESOLUTION_KIND_WRITE_OFF)) == "SETTLED_MEANWHILE"
    assert (await desk.shown(case)).case.state == STATE.CASE_STATE_OPEN


async def test_of_operators_who_resolve_the_same_case_at_once_one_does(
    desk: DeskApi, clean: asyncpg.Connection, embedded_servers: EmbeddedServers
) -> None:
    case = (await of_class(desk, "overpaid"))[0]
    operators = [Principal(f"operator-{number}", Role.OPS) for number in range(8)]
    tried = await asyncio.gather(
        *(desk.resolve([case], KIND.RESOLUTION_KIND_WRITE_OFF, by) for by in operators), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in tried) == 1
    assert await balance(clean, "platform:write_offs") == 150
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}

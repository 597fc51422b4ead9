"""The exceptions desk on real servers: what is decided, by whom, what it books, and that all of it is in the trail."""

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import exception_pb2, run_pb2

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.log_position import position
from services.reconciliation.exceptions.limits import WatchLimits
from services.reconciliation.exceptions.metrics import CASES
from services.reconciliation.exceptions.watch import Watch
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.test_api import reason_of
from tests.invariants import broken_invariants
from tests.recon import NOW, Day, Paid, add_to_ledger, day_of
from tests.recon_runs import run_once, taken_in

ASHA, BILAL = Principal("asha", Role.OPS), Principal("bilal", Role.OPS)
KIND = exception_pb2.ResolutionKind
STATE = exception_pb2.CaseState


class DeskApi:
    """The desk as operators use it."""

    def __init__(self, api: LedgerApi) -> None:
        self.api, self.stub = api, api.exceptions

    async def cases(self, by: Principal = ASHA, **wanted: Any) -> list[exception_pb2.Case]:
        """What is not resolved."""
        return list((await self.api.ask(self.stub.ListCases, exception_pb2.ListCasesRequest(**wanted), by)).cases)

    async def resolve(self, cases: list[exception_pb2.Case], kind: Any, by: Principal = ASHA, **more: Any) -> Any:
        """Resolve cases, or propose it."""
        request = exception_pb2.ResolveCasesRequest(case_ids=ids(cases), kind=kind, note="why", **more)
        return await self.api.ask(self.stub.ResolveCases, request, by)

    async def approve(self, resolution_id: str, by: Principal) -> Any:
        """Approve what is proposed."""
        request = exception_pb2.ApproveResolutionRequest(resolution_id=resolution_id, note="seen")
        return await self.api.ask(self.stub.ApproveResolution, request, by)

    async def decline(self, resolution_id: str, by: Principal) -> Any:
        """Decline what is proposed."""
        request = exception_pb2.DeclineResolutionRequest(resolution_id=resolution_id, note="no")
        return await self.api.ask(self.stub.DeclineResolution, request, by)

    async def shown(self, case: exception_pb2.Case) -> exception_pb2.GetCaseResponse:
        """A case with its trail."""
        request = exception_pb2.GetCaseRequest(case_id=case.discrepancy.id)
        answer: exception_pb2.GetCaseResponse = await self.api.ask(self.stub.GetCase, request)
        return answer

    async def verified(self, **known: Any) -> exception_pb2.VerifyAuditResponse:
        """What came of a verification of the trail."""
        answer: exception_pb2.VerifyAuditResponse = await self.api.ask(
            self.stub.VerifyAudit, exception_pb2.VerifyAuditRequest(**known)
        )
        return answer


def ids(cases: list[exception_pb2.Case]) -> list[str]:
    return [case.discrepancy.id for case in cases]


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def follow(api: LedgerApi, owner: asyncpg.Connection) -> None:
    """Have the next query see what is committed by now."""
    api.has_seen(await position(owner))


@pytest.fixture
async def desk(api: LedgerApi, clean: asyncpg.Connection, pool: asyncpg.Pool) -> DeskApi:
    """A day with discrepancies of every class, after its run."""
    day = day_of(1_200, seed=3, every=20)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool)
    await follow(api, clean)
    return DeskApi(api)


async def balance(owner: asyncpg.Connection, account: str) -> int:
    found: int = await owner.fetchval(
        "SELECT coalesce(sum(paise), 0)::bigint FROM reconciliation.postings WHERE account = $1", account
    )
    return found


async def of_class(desk: DeskApi, kind: str) -> list[exception_pb2.Case]:
    return await desk.cases(**{"class": kind})


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


async def test_a_command_is_done_for_all_or_for_none(desk: DeskApi) -> None:
    over, under = (await of_class(desk, "overpaid"))[0], (await of_class(desk, "underpaid"))[0]
    assert await refused(desk.resolve([over, under], KIND.RESOLUTION_KIND_RECOVER)) == "CASES_REFUSED"
    assert (await desk.shown(over)).case.state == STATE.CASE_STATE_OPEN
    unknown = exception_pb2.Case(discrepancy=run_pb2.Discrepancy(id=str(new_id())))
    assert await refused(desk.resolve([over, unknown], KIND.RESOLUTION_KIND_DISMISS)) == "CASE_NOT_FOUND"
    many = [over, under]
    assign = exception_pb2.AssignCasesRequest(case_ids=ids(many), assignee="bilal")
    assert {case.assignee for case in (await desk.api.ask(desk.stub.AssignCases, assign)).cases} == {"bilal"}
    assert sorted(ids(await desk.cases(assignee="bilal"))) == sorted(ids(many))
    # Once more, it changes nothing.
    before = (await desk.verified()).head_sequence
    await desk.api.ask(desk.stub.AssignCases, assign)
    assert (await desk.verified()).head_sequence == before


async def test_a_comment_with_a_key_is_made_once(desk: DeskApi) -> None:
    case = (await desk.cases())[0]
    request = exception_pb2.CommentOnCasesRequest(case_ids=ids([case]), text="asked the bank")
    metadata = [desk.api.credential(ASHA), ("idempotency-key", str(new_id()))]
    for _ in range(2):
        call = desk.stub.CommentOnCases(request, metadata=metadata, timeout=20)
        await call
        desk.api.has_seen(str(dict(await call.trailing_metadata())["consistency-token"]))
    request.text = "another"
    assert await refused(desk.stub.CommentOnCases(request, metadata=metadata, timeout=20)) == "IDEMPOTENCY_KEY_REUSED"
    trail = (await desk.shown(case)).trail
    assert [(row.action, row.content_json) for row in trail] == [("comment", '{"text": "asked the bank"}')]


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


async def test_whoever_changes_the_trail_is_found_out(
    desk: DeskApi, clean: asyncpg.Connection, embedded_servers: EmbeddedServers
) -> None:
    cases = await desk.cases()
    for case in cases[:5]:
        request = exception_pb2.CommentOnCasesRequest(case_ids=ids([case]), text="looked at, naïve ₹")
        await desk.api.ask(desk.stub.CommentOnCases, request)
    sound = await desk.verified()
    assert (sound.broken_sequence, sound.problem, sound.head_sequence) == (0, "", 5)
    for change in ("UPDATE reconciliation.audit_trail SET actor = 'x'", "DELETE FROM reconciliation.audit_trail",
                   "TRUNCATE reconciliation.audit_trail CASCADE"):  # fmt: skip
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await clean.execute(change)

    async def found_after(change: str, known: exception_pb2.VerifyAuditResponse | None = None) -> tuple[int, str]:
        # The superuser, past every trigger; and back again.
        await clean.execute("CREATE TEMP TABLE kept AS SELECT * FROM reconciliation.audit_trail")
        await clean.execute("SET session_replication_role = replica")
        await clean.execute(change)
        await follow(desk.api, clean)
        given = {"known_sequence": known.head_sequence, "known_sha256_hex": known.head_sha256_hex} if known else {}
        found = await desk.verified(**given)
        broken = await broken_invariants(embedded_servers.dsn(), "reconciliation")
        assert ("audit_is_chained" in broken) == (known is None)
        await clean.execute("DELETE FROM reconciliation.audit_trail")
        await clean.execute("INSERT INTO reconciliation.audit_trail SELECT * FROM kept")
        await clean.execute("DROP TABLE kept")
        await clean.execute("RESET session_replication_role")
        return found.broken_sequence, found.problem

    assert await found_after(
        'UPDATE reconciliation.audit_trail SET content = \'{"text": "nothing"}\' WHERE sequence = 3'
    ) == (3, "CHANGED")
    assert await found_after(
        "UPDATE reconciliation.audit_trail SET at = at + interval '1 microsecond' WHERE sequence = 2"
    ) == (2, "CHANGED")
    assert await found_after("DELETE FROM reconciliation.audit_trail WHERE sequence = 4") == (4, "MISSING")
    # The end of it is missed by the cases.
    assert await found_after("DELETE FROM reconciliation.audit_trail WHERE sequence = 5") == (5, "MISSING")
    # All of it is written anew, and only a head that was noted elsewhere tells.
    anew = (
        "DO $$ DECLARE r reconciliation.audit_trail; before bytea := decode(repeat('00', 32), 'hex'); BEGIN"
        " UPDATE reconciliation.audit_trail SET actor = 'nobody' WHERE sequence = 2;"
        " FOR r IN SELECT * FROM reconciliation.audit_trail ORDER BY sequence LOOP r.previous_sha256 := before;"
        " before := reconciliation.audit_sha256(r); UPDATE reconciliation.audit_trail SET sha256 = before,"
        " previous_sha256 = r.previous_sha256 WHERE sequence = r.sequence; END LOOP; END $$"
    )
    assert await found_after(anew, sound) == (5, "NOT_AS_KNOWN")
    assert (await desk.verified()).problem == ""


async def test_ages_are_a_metric(desk: DeskApi, clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    await clean.execute("UPDATE reconciliation.runs SET as_of = now() - interval '5 days'")
    await follow(desk.api, clean)
    count = len(await of_class(desk, "overpaid"))
    assert len(await desk.cases(days_from=3, days_until=7, page_size=500)) == len(await desk.cases(page_size=500))
    assert await desk.cases(days_from=7) == []
    await Watch(pool, WatchLimits()).look(NOW)
    told = {
        (sample.labels["class"], sample.labels["age_days"]): sample.value
        for metric in CASES.collect()
        for sample in metric.samples
    }
    assert sum(value for (kind, _), value in told.items() if kind == "overpaid") == count


async def test_the_desk_is_for_ops(desk: DeskApi) -> None:
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(new_id()))
    assert await refused(desk.cases(merchant)) == "ROLE_NOT_ALLOWED"

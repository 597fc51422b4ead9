"""The exceptions desk: commands as a whole, the audit trail and who changes it, ages."""

import asyncpg
import pytest
from lastmile.reconciliation.v1 import exception_pb2, run_pb2

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from services.reconciliation.exceptions.limits import WatchLimits
from services.reconciliation.exceptions.metrics import CASES
from services.reconciliation.exceptions.watch import Watch
from tests.desk_api import ASHA, KIND, STATE, DeskApi, follow, ids, of_class, refused
from tests.invariants import broken_invariants
from tests.recon import NOW


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
    await follow(desk.api, clean)
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

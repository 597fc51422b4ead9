"""ExceptionService: translates between the calls and the desk."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lastmile.reconciliation.v1 import exception_pb2, exception_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.reconciliation.database import Database
from services.reconciliation.errors import CaseNotFoundError
from services.reconciliation.exceptions import store
from services.reconciliation.exceptions.audit import Head
from services.reconciliation.exceptions.auditing import store as audit
from services.reconciliation.exceptions.case import Case, Outcome
from services.reconciliation.exceptions.codec import (
    ages_to,
    case_to,
    kind_from,
    resolution_to,
    row_to,
    state_from,
    verified_to,
)
from services.reconciliation.exceptions.desk import Decision, Desk, subject_of
from services.reconciliation.exceptions.limits import DeskLimits
from services.reconciliation.exceptions.repeats import store as repeats
from services.reconciliation.exceptions.resolving import store as resolving
from services.reconciliation.exceptions.verification import verify
from services.reconciliation.timestamps import EARLIEST, LATEST

_KEY = re.compile(r"([0-9]{1,9}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_ID_MAX = UUID(int=(1 << 128) - 1)


class ExceptionServicer(exception_pb2_grpc.ExceptionServiceServicer):
    """Answers ExceptionService."""

    def __init__(self, database: Database, limits: DeskLimits, own_cities: Sequence[str]) -> None:
        self._database, self._limits, self._own_cities = database, limits, own_cities

    async def ListCases(  # noqa: N802 - named by the proto
        self, request: exception_pb2.ListCasesRequest, context: Any
    ) -> exception_pb2.ListCasesResponse:
        """List what is not resolved, the oldest first."""
        size, after, now = paging.page_size(request), _after(paging.decode(request)), datetime.now(UTC)
        wanted = (getattr(request, "class"), state_from(request.state), request.assignee)
        since = now - timedelta(days=request.days_until) if request.HasField("days_until") else EARLIEST
        until = now - timedelta(days=request.days_from) if request.days_from else LATEST
        async with self._database.query(current_call()) as connection:
            cases = await store.search(connection, after, wanted, (until, since), size + 1)
        last = cases[size - 1] if len(cases) > size else None
        token = paging.encode(request, f"{last.run_no} {last.id}") if last else ""
        return exception_pb2.ListCasesResponse(cases=self._sent(cases[:size]), next_page_token=token)

    async def GetCase(  # noqa: N802 - named by the proto
        self, request: exception_pb2.GetCaseRequest, context: Any
    ) -> exception_pb2.GetCaseResponse:
        """Return a case with all that was done about it."""
        case_id = UUID(request.case_id)
        async with self._database.query(current_call()) as connection:
            cases = await store.get(connection, [case_id])
            if not cases:
                raise CaseNotFoundError(f"there is no case {case_id}")
            trail = await audit.of_subject(connection, subject_of(case_id), 0, self._limits.trail_rows_max)
            resolution_id = cases[0].resolution_id
            made = await resolving.get(connection, resolution_id) if resolution_id else None
            entry_id = await resolving.entry_of(connection, resolution_id) if resolution_id else None
        return exception_pb2.GetCaseResponse(
            case=case_to(cases[0], self._limits.small_paise),
            resolution=resolution_to(made) if made else None,
            entry_id=str(entry_id) if entry_id else "",
            trail=map(row_to, trail),
        )

    async def GetCaseAges(  # noqa: N802 - named by the proto
        self, request: exception_pb2.GetCaseAgesRequest, context: Any
    ) -> exception_pb2.GetCaseAgesResponse:
        """Return how old what is not resolved is."""
        async with self._database.query(current_call()) as connection:
            found = await store.ages(connection, datetime.now(UTC), self._limits.age_days)
        return ages_to(found)

    async def AssignCases(  # noqa: N802 - named by the proto
        self, request: exception_pb2.AssignCasesRequest, context: Any
    ) -> exception_pb2.AssignCasesResponse:
        """Give cases to somebody."""

        async def effect(desk: Desk) -> exception_pb2.AssignCasesResponse:
            cases = await desk.assign(_ids(request.case_ids), request.assignee, request.note)
            return exception_pb2.AssignCasesResponse(cases=self._sent(cases))

        return await self._command(request, exception_pb2.AssignCasesResponse, effect)

    async def CommentOnCases(  # noqa: N802 - named by the proto
        self, request: exception_pb2.CommentOnCasesRequest, context: Any
    ) -> exception_pb2.CommentOnCasesResponse:
        """Add a comment to cases."""

        async def effect(desk: Desk) -> exception_pb2.CommentOnCasesResponse:
            cases = await desk.comment(_ids(request.case_ids), request.text)
            return exception_pb2.CommentOnCasesResponse(cases=self._sent(cases))

        return await self._command(request, exception_pb2.CommentOnCasesResponse, effect)

    async def ResolveCases(  # noqa: N802 - named by the proto
        self, request: exception_pb2.ResolveCasesRequest, context: Any
    ) -> exception_pb2.ResolveCasesResponse:
        """Resolve cases, or propose it."""
        decided = Decision(kind_from(request.kind), request.write_off_rest, request.note)

        async def effect(desk: Desk) -> exception_pb2.ResolveCasesResponse:
            made, cases = await desk.resolve(_ids(request.case_ids), decided)
            return exception_pb2.ResolveCasesResponse(resolution=resolution_to(made), cases=self._sent(cases))

        return await self._command(request, exception_pb2.ResolveCasesResponse, effect)

    async def ListResolutions(  # noqa: N802 - named by the proto
        self, request: exception_pb2.ListResolutionsRequest, context: Any
    ) -> exception_pb2.ListResolutionsResponse:
        """List resolutions, the youngest first."""
        size, before = paging.page_size(request), paging.decode_id(request) or _ID_MAX
        async with self._database.query(current_call()) as connection:
            found = await resolving.search(connection, before, size + 1, proposed_only=request.proposed_only)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        sent = map(resolution_to, found[:size])
        return exception_pb2.ListResolutionsResponse(resolutions=sent, next_page_token=token)

    async def ApproveResolution(  # noqa: N802 - named by the proto
        self, request: exception_pb2.ApproveResolutionRequest, context: Any
    ) -> exception_pb2.ApproveResolutionResponse:
        """Approve what another has proposed."""

        async def effect(desk: Desk) -> exception_pb2.ApproveResolutionResponse:
            made, cases = await desk.decide(UUID(request.resolution_id), Outcome.APPROVED, request.note)
            return exception_pb2.ApproveResolutionResponse(resolution=resolution_to(made), cases=self._sent(cases))

        return await self._command(request, exception_pb2.ApproveResolutionResponse, effect)

    async def DeclineResolution(  # noqa: N802 - named by the proto
        self, request: exception_pb2.DeclineResolutionRequest, context: Any
    ) -> exception_pb2.DeclineResolutionResponse:
        """Decline what another has proposed."""

        async def effect(desk: Desk) -> exception_pb2.DeclineResolutionResponse:
            made, cases = await desk.decide(UUID(request.resolution_id), Outcome.DECLINED, request.note)
            return exception_pb2.DeclineResolutionResponse(resolution=resolution_to(made), cases=self._sent(cases))

        return await self._command(request, exception_pb2.DeclineResolutionResponse, effect)

    async def VerifyAudit(  # noqa: N802 - named by the proto
        self, request: exception_pb2.VerifyAuditRequest, context: Any
    ) -> exception_pb2.VerifyAuditResponse:
        """Make every hash of the audit trail again."""
        known = None
        if request.known_sequence or request.known_sha256_hex:
            if not (request.known_sequence and request.known_sha256_hex):
                what = "a head is a number and a hash"
                raise InvalidArgumentError.of(FieldViolation("known_sha256_hex", what, "audit.known"))
            known = Head(request.known_sequence, bytes.fromhex(request.known_sha256_hex))
        async with self._database.query(current_call()) as connection:
            head, broken = await verify(connection, known, self._limits.verify_rows)
        return verified_to(head, broken)

    async def _command(
        self, request: Any, kind: type[repeats.Answer], effect: Callable[[Desk], Awaitable[repeats.Answer]]
    ) -> repeats.Answer:
        call, now = current_call(), datetime.now(UTC)
        async with self._database.command(call) as connection:
            desk = Desk(connection, self._limits, self._own_cities, call.principal.subject, now)
            return await repeats.once(connection, call, request, now, kind, lambda: effect(desk))

    def _sent(self, cases: Iterable[Case]) -> list[exception_pb2.Case]:
        return [case_to(case, self._limits.small_paise) for case in cases]


def _ids(texts: Iterable[str]) -> list[UUID]:
    return [UUID(text) for text in texts]


def _after(key: str | None) -> tuple[int, UUID]:
    if key is None:
        return 0, UUID(int=0)
    found = _KEY.fullmatch(key)
    if found is None:
        raise InvalidArgumentError.of(
            FieldViolation("page_token", "is not a token that this list issued", "page_token.foreign")
        )
    return int(found[1]), UUID(found[2])

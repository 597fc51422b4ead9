"""RunService: translates between the calls and the noun's rules and store."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.reconciliation.v1 import run_pb2, run_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.reconciliation.database import Database
from services.reconciliation.errors import DeliveryNotReconciledError, LineNotFoundError, RunNotFoundError
from services.reconciliation.runs import replay
from services.reconciliation.runs.codec import chunk_to, discrepancy_to, leg_to, line_to, result_to, run_to
from services.reconciliation.runs.limits import RunLimits
from services.reconciliation.runs.opening import open_run
from services.reconciliation.runs.reading import store
from services.reconciliation.runs.rules import RunRules

_NO_MAX = 2**31 - 1


class RunServicer(run_pb2_grpc.RunServiceServicer):
    """Answers RunService."""

    def __init__(self, database: Database, limits: RunLimits) -> None:
        self._database = database
        self._limits = limits

    async def StartRun(  # noqa: N802 - named by the proto
        self, request: run_pb2.StartRunRequest, context: Any
    ) -> run_pb2.StartRunResponse:
        """Open a run."""
        call, now, limits = current_call(), datetime.now(UTC), self._limits
        rules = RunRules(
            request.tolerance_paise if request.HasField("tolerance_paise") else limits.tolerance_paise,
            request.tolerance_min if request.HasField("tolerance_min") else limits.tolerance_min,
            request.payout_due_min if request.HasField("payout_due_min") else limits.payout_due_min,
        )
        async with self._database.command(call) as connection:
            run, was_open = await open_run(connection, rules, limits, call.principal.subject, now)
        return run_pb2.StartRunResponse(run=run_to(run), was_open=was_open)

    async def GetRun(  # noqa: N802 - named by the proto
        self, request: run_pb2.GetRunRequest, context: Any
    ) -> run_pb2.GetRunResponse:
        """Return how far a run is."""
        async with self._database.query(current_call()) as connection:
            run = await store.get(connection, request.run_no)
            if run is None:
                raise RunNotFoundError(f"there is no run {request.run_no}")
            chunks, tallies = await store.progress(connection, run.run_no)
        return run_pb2.GetRunResponse(run=run_to(run), chunks=map(chunk_to, chunks), tallies=tallies)

    async def ReplayChunks(  # noqa: N802 - named by the proto
        self, request: run_pb2.ReplayChunksRequest, context: Any
    ) -> run_pb2.ReplayChunksResponse:
        """Take quarantined chunks again."""
        call, now = current_call(), datetime.now(UTC)
        wanted = replay.Replay(request.run_no, frozenset(request.chunks), call.principal.subject, request.note)
        async with self._database.command(call) as connection:
            chunks = await replay.take_again(connection, wanted, now)
        return run_pb2.ReplayChunksResponse(chunks=chunks)

    async def ListRuns(  # noqa: N802 - named by the proto
        self, request: run_pb2.ListRunsRequest, context: Any
    ) -> run_pb2.ListRunsResponse:
        """List runs, the youngest first."""
        call, size = current_call(), paging.page_size(request)
        before = paging.decode(request)
        if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 9):
            raise _foreign_token()
        async with self._database.query(call) as connection:
            found = await store.search(connection, _NO_MAX if before is None else int(before), size + 1)
        token = paging.encode(request, str(found[size - 1].run_no)) if len(found) > size else ""
        return run_pb2.ListRunsResponse(runs=map(run_to, found[:size]), next_page_token=token)

    async def ListDiscrepancies(  # noqa: N802 - named by the proto
        self, request: run_pb2.ListDiscrepanciesRequest, context: Any
    ) -> run_pb2.ListDiscrepanciesResponse:
        """List a run's discrepancies."""
        call, size = current_call(), paging.page_size(request)
        wanted, after = getattr(request, "class"), _after(paging.decode(request))
        async with self._database.query(call) as connection:
            found = await store.discrepancies(connection, request.run_no, wanted, after, size + 1)
        last = found[size - 1] if len(found) > size else None
        token = paging.encode(request, f"{last.kind} {last.id}") if last else ""
        sent = map(discrepancy_to, found[:size])
        return run_pb2.ListDiscrepanciesResponse(discrepancies=sent, next_page_token=token)

    async def ExplainDelivery(  # noqa: N802 - named by the proto
        self, request: run_pb2.ExplainDeliveryRequest, context: Any
    ) -> run_pb2.ExplainDeliveryResponse:
        """Return all that is known of a delivery."""
        async with self._database.query(current_call()) as connection:
            found = await store.of_delivery(connection, UUID(request.delivery_id))
        if not (found.legs or found.lines or found.discrepancies):
            raise DeliveryNotReconciledError(f"nothing is owed for delivery {request.delivery_id}, nor said to be paid")
        return run_pb2.ExplainDeliveryResponse(
            legs=map(leg_to, found.legs),
            lines=map(line_to, found.lines),
            results=map(result_to, found.results),
            discrepancies=map(discrepancy_to, found.discrepancies),
        )

    async def ExplainLine(  # noqa: N802 - named by the proto
        self, request: run_pb2.ExplainLineRequest, context: Any
    ) -> run_pb2.ExplainLineResponse:
        """Return a line, and what became of it."""
        statement_id = UUID(request.statement_id)
        async with self._database.query(current_call()) as connection:
            lines = await store.lines(connection, [(statement_id, request.line)])
            result = await store.result_of_line(connection, statement_id, request.line)
        if not lines:
            raise LineNotFoundError(f"statement {statement_id} has no line {request.line} that was taken")
        return run_pb2.ExplainLineResponse(line=line_to(lines[0]), result=result_to(result) if result else None)


def _after(key: str | None) -> tuple[str, UUID]:
    if key is None:
        return "", UUID(int=0)
    kind, _, identifier = key.partition(" ")
    try:
        return kind, UUID(identifier)
    except ValueError:
        raise _foreign_token() from None


def _foreign_token() -> InvalidArgumentError:
    return InvalidArgumentError.of(
        FieldViolation("page_token", "is not a token that this list issued", "page_token.foreign")
    )

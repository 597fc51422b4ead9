"""Runs and what they found, as messages."""

from uuid import UUID

from lastmile.reconciliation.v1 import run_pb2

from services.reconciliation.runs.reading.store import ChunkProgress, Discrepancy, Leg, Result, StatementLine
from services.reconciliation.runs.run import Run
from services.reconciliation.timestamps import timestamp


def run_to(run: Run) -> run_pb2.Run:
    """Return a run as a message."""
    return run_pb2.Run(
        run_no=run.run_no,
        tolerance_paise=run.tolerance_paise,
        tolerance_min=run.tolerance_min,
        payout_due_min=run.payout_due_min,
        chunks_count=run.chunks_count,
        opened_at=timestamp(run.opened_at),
        opened_by=run.opened_by,
        closed_at=timestamp(run.closed_at) if run.closed_at else None,
        last_confirmed_at=timestamp(run.last_confirmed_at) if run.last_confirmed_at else None,
    )


def chunk_to(chunk: ChunkProgress) -> run_pb2.RunChunk:
    """Return a chunk as a message."""
    return run_pb2.RunChunk(
        chunk=chunk.chunk,
        state=chunk.state,
        is_quarantined=chunk.is_quarantined,
        attempts=chunk.attempts,
        last_error=chunk.last_error,
    )


def discrepancy_to(found: Discrepancy) -> run_pb2.Discrepancy:
    """Return a discrepancy as a message."""
    sent = run_pb2.Discrepancy(
        id=str(found.id),
        run_no=found.run_no,
        leg=found.leg,
        delivery_id=_text(found.delivery_id),
        statement_id=_text(found.statement_id),
        line=found.line or 0,
        payee=found.payee,
        expected_paise=found.expected_paise,
        paid_paise=found.paid_paise,
        evidence_json=found.evidence,
        settled_run_no=found.settled_run_no or 0,
    )
    # Python has the word for itself.
    setattr(sent, "class", found.kind)
    return sent


def leg_to(leg: Leg) -> run_pb2.Leg:
    """Return a leg as a message."""
    return run_pb2.Leg(
        leg=leg.leg,
        payee=leg.payee,
        paise=leg.paise,
        confirmed_at=timestamp(leg.confirmed_at),
        entry_id=str(leg.entry_id),
        reversal_entry_id=_text(leg.reversal_entry_id),
    )


def line_to(line: StatementLine) -> run_pb2.StatementLine:
    """Return a line as a message."""
    return run_pb2.StatementLine(
        statement_id=str(line.statement_id),
        line=line.line,
        leg=line.leg,
        reference=line.reference,
        delivery_id=_text(line.delivery_id),
        payee=line.payee,
        paise=line.paise,
        paid_at=timestamp(line.paid_at),
    )


def result_to(result: Result) -> run_pb2.Result:
    """Return a result as a message."""
    return run_pb2.Result(
        statement_id=_text(result.statement_id),
        line=result.line or 0,
        delivery_id=_text(result.delivery_id),
        leg=result.leg,
        outcome=result.outcome,
        rule=result.rule,
        expected_paise=result.expected_paise,
        paid_paise=result.paid_paise,
        run_no=result.run_no,
    )


def _text(found: UUID | None) -> str:
    return str(found) if found else ""

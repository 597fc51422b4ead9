"""Cycles, statements, holds and payouts as messages."""

from lastmile.reconciliation.v1 import ledger_pb2, settlement_pb2

from libs.grpc_server.identity import Principal, Role
from services.reconciliation.ledger.codec import explanation_to
from services.reconciliation.settlements.explaining import ExplainedLine, Guarantee
from services.reconciliation.settlements.holds.store import Hold, HoldChange
from services.reconciliation.settlements.payouts.batch import Batch, FileFormat
from services.reconciliation.settlements.payouts.confirming import Confirmed
from services.reconciliation.settlements.payouts.store import Tally
from services.reconciliation.settlements.statement import Cycle, Statement, StatementLine
from services.reconciliation.timestamps import timestamp

FORMATS = {
    settlement_pb2.PAYOUT_FILE_FORMAT_NACH: FileFormat.NACH,
    settlement_pb2.PAYOUT_FILE_FORMAT_CSV: FileFormat.CSV,
}


def cycle_to(cycle: Cycle, principal: Principal) -> settlement_pb2.SettlementCycle:
    """Return a cycle as a message. Who opened it, and what keeps it, is for ops alone."""
    is_ops = principal.role is Role.OPS
    sent = settlement_pb2.SettlementCycle(
        cycle_no=cycle.cycle_no,
        city_code=cycle.calendar,
        until=timestamp(cycle.until_at),
        state=cycle.state,
        opened_at=timestamp(cycle.opened_at),
        opened_by=cycle.opened_by if is_ops else "",
        closed_at=timestamp(cycle.closed_at) if cycle.closed_at else None,
        last_error=(cycle.last_error or "") if is_ops else "",
    )
    # Python has the word for itself.
    getattr(sent, "from").CopyFrom(timestamp(cycle.from_at))
    return sent


def settlement_to(found: Statement) -> settlement_pb2.Settlement:
    """Return a statement without its lines as a message."""
    totals = found.totals
    return settlement_pb2.Settlement(
        cycle_no=found.cycle.cycle_no,
        party=found.party,
        opening_paise=totals.opening_paise,
        lines_count=totals.lines_count,
        work_paise=totals.work_paise,
        tax_paise=totals.tax_paise,
        cash_paise=totals.cash_paise,
        paid_paise=totals.paid_paise,
        closing_paise=totals.closing_paise,
        held_paise=totals.held_paise,
        unsettled_paise=totals.unsettled_paise,
        payable_paise=totals.payable_paise,
        content_sha256=found.content_sha256.hex(),
    )


def line_to(line: StatementLine) -> settlement_pb2.SettlementLine:
    """Return a line as a message."""
    return settlement_pb2.SettlementLine(
        entry_id=str(line.entry_id),
        kind=line.kind,
        delivery_id=str(line.delivery_id or ""),
        occurred_at=timestamp(line.occurred_at),
        work_paise=line.work_paise,
        tax_paise=line.tax_paise,
        cash_paise=line.cash_paise,
        paid_paise=line.paid_paise,
        amount_paise=line.paise,
        adjusts_entry_id=str(line.adjusts_entry_id or ""),
        adjusts_cycle_no=line.adjusts_cycle_no or 0,
    )


def explained_to(found: ExplainedLine) -> settlement_pb2.ExplainSettlementLineResponse:
    """Return where a line comes from as a message."""
    known, delivery, payment, payout = found.known, found.delivery, found.payment, found.payout
    sent = settlement_pb2.ExplainSettlementLineResponse(
        line=line_to(known.line),
        cycle_no=known.cycle_no,
        postings=[
            ledger_pb2.Posting(account=account, purpose=purpose, amount_paise=paise)
            for account, purpose, paise in known.postings
        ],
        cause_event_id=str(known.cause_event_id),
        event_ids=map(str, known.event_ids),
        explanation=explanation_to(delivery, delivery.lines, delivery.before) if delivery else None,
        guarantee=_guarantee_to(found.guarantee) if found.guarantee else None,
        agrees=found.agrees,
    )
    if payment:
        sent.payment.run_no, sent.payment.leg = payment.run_no, payment.leg
        sent.payment.lines_count, sent.payment.lines_paise = payment.lines_count, payment.lines_paise
    if payout:
        sent.payout.reference, sent.payout.amount_paise = payout.reference, payout.paise
        sent.payout.statement_id, sent.payout.line = str(payout.statement_id), payout.line
    return sent


def hold_to(hold: Hold) -> settlement_pb2.Hold:
    """Return a held line as a message."""
    return settlement_pb2.Hold(
        party=hold.party,
        entry_id=str(hold.entry_id),
        state=hold.state,
        amount_paise=hold.paise,
        changed_at=timestamp(hold.changed_at),
    )


def change_to(change: HoldChange) -> settlement_pb2.HoldChange:
    """Return what was done with a line as a message."""
    return settlement_pb2.HoldChange(
        action=change.action,
        state=change.state,
        reason=change.reason,
        changed_at=timestamp(change.changed_at),
        changed_by=change.changed_by,
    )


def batch_to(batch: Batch) -> settlement_pb2.PayoutBatch:
    """Return a batch as a message."""
    return settlement_pb2.PayoutBatch(
        batch_no=batch.batch_no,
        cycle_no=batch.cycle_no,
        payouts_count=batch.payouts_count,
        amount_paise=batch.paise,
        created_at=timestamp(batch.created_at),
        created_by=batch.created_by,
    )


def tally_to(tally: Tally) -> settlement_pb2.PayoutTally:
    """Return how many payouts are in a state as a message."""
    return settlement_pb2.PayoutTally(state=tally.state, payouts_count=tally.payouts_count, amount_paise=tally.paise)


def confirmed_to(found: Confirmed) -> settlement_pb2.ConfirmPayoutsResponse:
    """Return what a statement said of payouts as a message."""
    return settlement_pb2.ConfirmPayoutsResponse(
        tallies=[
            settlement_pb2.ConfirmationTally(outcome=outcome, lines_count=count, amount_paise=found.paise[outcome])
            for outcome, count in sorted(found.lines.items())
        ],
        problems=[
            settlement_pb2.ConfirmationProblem(
                line=one.line, reference=one.reference, outcome=one.outcome, amount_paise=one.paise
            )
            for one in found.problems
        ],
    )


def _guarantee_to(found: Guarantee) -> settlement_pb2.GuaranteeExplanation:
    sent = settlement_pb2.GuaranteeExplanation(
        on_duty_s=found.known.on_duty_s,
        guarantee_paise_per_h=found.known.guarantee_paise_per_h,
        guaranteed_paise=found.guaranteed_paise,
        earned_paise=found.known.earned_paise,
        top_up_paise=found.top_up_paise,
    )
    if found.card:
        scope = found.card.scope
        sent.rate_card.CopyFrom(
            ledger_pb2.RateCardVersion(
                city_code=scope.city_code,
                vehicle=scope.vehicle,
                network_code=scope.network_code,
                version=found.card.version,
            )
        )
    return sent

"""The reconciliation service's error tree: what each refusal is called, and whether to fix or to retry.

ServiceError
├── InvalidArgumentError
│   ├── CasesRefusedError         fix: metadata names the cases with why
│   ├── IdempotencyKeyReusedError fix: another body came with this key
│   └── StatementRefusedError     fix: the reason is the file's own, such as HEADER_DUPLICATE
├── NotFoundError
│   ├── AccountNotFoundError
│   ├── CalendarNotFoundError
│   ├── CaseNotFoundError
│   ├── CycleNotFoundError
│   ├── DeliveryNotFoundError
│   ├── DeliveryNotReconciledError
│   ├── HoldNotFoundError
│   ├── InvoiceNotFoundError
│   ├── LineNotFoundError
│   ├── PayoutsNotFoundError
│   ├── ResolutionNotFoundError
│   ├── RunNotFoundError
│   ├── SettlementNotFoundError
│   ├── SettlementLineNotFoundError
│   ├── SourceNotFoundError       fix: make a mapping for it first
│   └── StatementNotFoundError
├── AlreadyExistsError
│   └── RateCardExistsError       fix: metadata names the version that begins then
├── PermissionDeniedError
│   └── OwnProposalError          fix: another must decide
├── FailedPreconditionError
│   ├── CaseStateError            fix: metadata names the cases with their states
│   ├── ChunksNotReplayedError    fix: none of them is quarantined, or a later run has taken them on
│   ├── CycleNotClosedError       retry: once it is closed
│   ├── CycleNotOverError         retry: in some seconds
│   ├── CycleSupersededError      fix: what it leaves is in the statements of the later one
│   ├── HoldTransitionError       fix: metadata names the state that the line is in
│   ├── LinePaidOutError
│   ├── MonthNotOverError         fix: metadata names the moment from which it can be invoiced
│   ├── NothingToInvoiceError
│   ├── PaymentsNotBookedError    retry: once a worker has booked what the run found
│   ├── RateCardTooLateError      fix: metadata names the earliest moment
│   ├── ResolutionDecidedError
│   ├── StatementConfirmsNothingError  fix: its source's mapping says that it confirms payouts
│   └── SupplierNotRegisteredError
├── AbortedError
│   ├── IdempotencyKeyInFlightError   retry
│   └── SettledMeanwhileError     retry: a run has settled some of it
├── ResourceExhaustedError
│   └── PapersTooManyError        retry later
└── UnavailableError
    ├── PaperTooSlowError
    └── PayoutsIncompleteError    retry
"""

from libs.grpc_server.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)


class DeliveryNotFoundError(NotFoundError):
    """Nothing is booked for a delivery of this id that the caller may see."""

    reason = "DELIVERY_NOT_BOOKED"


class RateCardExistsError(AlreadyExistsError):
    """Another version of the scope begins at that moment, with other terms."""

    reason = "RATE_CARD_EXISTS"


class AccountNotFoundError(NotFoundError):
    """There is no such account that the caller may see."""

    reason = "ACCOUNT_NOT_FOUND"


class RateCardTooLateError(FailedPreconditionError):
    """The version would apply to what may have been paid by another one already."""

    reason = "RATE_CARD_TOO_LATE"


class StatementRefusedError(InvalidArgumentError):
    """Nothing of the file can be read."""

    reason = "STATEMENT_REFUSED"


class SourceNotFoundError(NotFoundError):
    """No mapping says how files of this source are read."""

    reason = "SOURCE_UNKNOWN"


class StatementNotFoundError(NotFoundError):
    """There is no statement of this id."""

    reason = "STATEMENT_NOT_FOUND"


class LineNotFoundError(NotFoundError):
    """The statement has no such line."""

    reason = "LINE_NOT_FOUND"


class RunNotFoundError(NotFoundError):
    """There is no run of this number."""

    reason = "RUN_NOT_FOUND"


class DeliveryNotReconciledError(NotFoundError):
    """Nothing is owed for a delivery of this id, and nothing was said to be paid."""

    reason = "DELIVERY_NOT_RECONCILED"


class CaseNotFoundError(NotFoundError):
    """There is no discrepancy of this id."""

    reason = "CASE_NOT_FOUND"


class CasesRefusedError(InvalidArgumentError):
    """Cases cannot be resolved so: of their class, their amounts, or because they do not agree."""

    reason = "CASES_REFUSED"


class CaseStateError(FailedPreconditionError):
    """Cases are in no state for the command: proposed already, or resolved."""

    reason = "CASE_STATE"


class OwnProposalError(PermissionDeniedError):
    """Nobody approves or declines what he has proposed himself."""

    reason = "OWN_PROPOSAL"


class ResolutionNotFoundError(NotFoundError):
    """There is no resolution of this id."""

    reason = "RESOLUTION_NOT_FOUND"


class ResolutionDecidedError(FailedPreconditionError):
    """It was approved or declined already."""

    reason = "RESOLUTION_DECIDED"


class SettledMeanwhileError(AbortedError):
    """A run settles at this moment what the desk was about to."""

    reason = "SETTLED_MEANWHILE"


class ChunksNotReplayedError(FailedPreconditionError):
    """There is no quarantined chunk of these, or what they held is with a later run."""

    reason = "CHUNKS_NOT_REPLAYED"


class IdempotencyKeyReusedError(InvalidArgumentError):
    """The idempotency key was used with another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInFlightError(AbortedError):
    """A request with the same idempotency key is being worked on."""

    reason = "IDEMPOTENCY_KEY_IN_FLIGHT"


class InvoiceNotFoundError(NotFoundError):
    """There is no invoice of this id that the caller may see."""

    reason = "INVOICE_NOT_FOUND"


class SupplierNotRegisteredError(FailedPreconditionError):
    """The company has no registration in the state, so it issues no invoices there."""

    reason = "SUPPLIER_NOT_REGISTERED"


class MonthNotOverError(FailedPreconditionError):
    """Entries of the month may still be booked."""

    reason = "MONTH_NOT_OVER"


class NothingToInvoiceError(FailedPreconditionError):
    """The ledger has no fee of the merchant's in the month and the state, or takes more back than it has."""

    reason = "NOTHING_TO_INVOICE"


class PapersTooManyError(ResourceExhaustedError):
    """As many papers wait to be rendered as may."""

    reason = "PAPERS_TOO_MANY"


class PaperTooSlowError(UnavailableError):
    """A paper took longer than any should, and was given up."""

    reason = "PAPER_TOO_SLOW"


class CalendarNotFoundError(NotFoundError):
    """The city has no cycles of its own."""

    reason = "CALENDAR_NOT_FOUND"


class CycleNotFoundError(NotFoundError):
    """There is no cycle of this number."""

    reason = "CYCLE_NOT_FOUND"


class SettlementNotFoundError(NotFoundError):
    """The party has no statement of this cycle that the caller may see."""

    reason = "SETTLEMENT_NOT_FOUND"


class SettlementLineNotFoundError(NotFoundError):
    """The entry is in no statement of this party that the caller may see."""

    reason = "SETTLEMENT_LINE_NOT_FOUND"


class HoldNotFoundError(NotFoundError):
    """The line was never held."""

    reason = "HOLD_NOT_FOUND"


class PayoutsNotFoundError(NotFoundError):
    """Nothing is paid out for this cycle yet."""

    reason = "PAYOUTS_NOT_FOUND"


class PayoutsIncompleteError(UnavailableError):
    """Who was asked last does not know all payouts yet: what was sent of the file is no whole one."""

    reason = "PAYOUTS_INCOMPLETE"


class CycleNotOverError(FailedPreconditionError):
    """The last cycle has only just ended."""

    reason = "CYCLE_NOT_OVER"


class CycleNotClosedError(FailedPreconditionError):
    """The cycle is still being closed."""

    reason = "CYCLE_NOT_CLOSED"


class CycleSupersededError(FailedPreconditionError):
    """A later cycle is closed, or being closed: what this one left is in its statements."""

    reason = "CYCLE_SUPERSEDED"


class PaymentsNotBookedError(FailedPreconditionError):
    """What a run found that was paid is not booked yet: it would be paid again."""

    reason = "PAYMENTS_NOT_BOOKED"


class HoldTransitionError(FailedPreconditionError):
    """A line in this state cannot become that."""

    reason = "HOLD_ILLEGAL_TRANSITION"


class LinePaidOutError(FailedPreconditionError):
    """The line is paid out already."""

    reason = "LINE_PAID_OUT"


class StatementConfirmsNothingError(FailedPreconditionError):
    """The statement is not about payouts."""

    reason = "STATEMENT_CONFIRMS_NOTHING"

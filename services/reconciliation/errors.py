"""The reconciliation service's error tree: what each refusal is called, and whether to fix or to retry.

ServiceError
├── InvalidArgumentError
│   ├── CasesRefusedError         fix: metadata names the cases with why
│   ├── IdempotencyKeyReusedError fix: another body came with this key
│   └── StatementRefusedError     fix: the reason is the file's own, such as HEADER_DUPLICATE
├── NotFoundError
│   ├── AccountNotFoundError
│   ├── CaseNotFoundError
│   ├── DeliveryNotFoundError
│   ├── DeliveryNotReconciledError
│   ├── LineNotFoundError
│   ├── ResolutionNotFoundError
│   ├── RunNotFoundError
│   ├── SourceNotFoundError       fix: make a mapping for it first
│   └── StatementNotFoundError
├── AlreadyExistsError
│   └── RateCardExistsError       fix: metadata names the version that begins then
├── PermissionDeniedError
│   └── OwnProposalError          fix: another must decide
├── FailedPreconditionError
│   ├── CaseStateError            fix: metadata names the cases with their states
│   ├── ChunksNotReplayedError    fix: none of them is quarantined, or a later run has taken them on
│   ├── RateCardTooLateError      fix: metadata names the earliest moment
│   └── ResolutionDecidedError
└── AbortedError
    ├── IdempotencyKeyInFlightError   retry
    └── SettledMeanwhileError     retry: a run has settled some of it
"""

from libs.grpc_server.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
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

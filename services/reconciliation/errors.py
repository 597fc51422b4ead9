"""The reconciliation service's error tree: what each refusal is called, and whether to fix or to retry.

ServiceError
├── NotFoundError
│   ├── AccountNotFoundError
│   └── DeliveryNotFoundError
├── AlreadyExistsError
│   └── RateCardExistsError       fix: metadata names the version that begins then
└── FailedPreconditionError
    └── RateCardTooLateError      fix: metadata names the earliest moment
"""

from libs.grpc_server.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError


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

"""The assignment service's error tree: what each refusal is called, and whether to fix or to retry.

ServiceError
├── InvalidArgumentError
│   └── IdempotencyKeyReusedError     fix: another body came with this key
├── NotFoundError
│   ├── CityNotFoundError, MerchantNotFoundError, PartnerNotFoundError
│   └── DeliveryNotFoundError, OfferNotFoundError
├── AlreadyExistsError
│   └── ReferenceTakenError           fix: metadata names who holds the reference
├── PermissionDeniedError
│   └── TransitionNotYoursError
├── FailedPreconditionError
│   ├── IllegalTransitionError        metadata names the legal next states
│   ├── OfferEndedError
│   ├── NotMatchedYetError
│   ├── PartnerBusyError              the partner carries what forbids the change
│   └── PartnerTakenError             matcher only: the partner went offline or is full by now
├── AbortedError
│   ├── IdempotencyKeyInFlightError   retry
│   ├── VersionConflictError          read again, then retry
│   └── LeaseLostError                matcher only: another one holds the city by now
├── ResourceExhaustedError
│   └── ProblemTooLargeError          fix: send a smaller problem
└── UnavailableError
    └── PositionsUnavailableError     retry
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


class IdempotencyKeyReusedError(InvalidArgumentError):
    """The idempotency key was used with another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class CityNotFoundError(NotFoundError):
    """No city has this code."""

    reason = "CITY_NOT_FOUND"


class MerchantNotFoundError(NotFoundError):
    """No merchant that the caller may see has this id."""

    reason = "MERCHANT_NOT_FOUND"


class PartnerNotFoundError(NotFoundError):
    """No partner that the caller may see has this id."""

    reason = "PARTNER_NOT_FOUND"


class DeliveryNotFoundError(NotFoundError):
    """No delivery that the caller may see has this id."""

    reason = "DELIVERY_NOT_FOUND"


class OfferNotFoundError(NotFoundError):
    """No offer that the caller may see has this id."""

    reason = "OFFER_NOT_FOUND"


class ReferenceTakenError(AlreadyExistsError):
    """The reference names something else already; metadata has its id."""

    reason = "REFERENCE_TAKEN"


class TransitionNotYoursError(PermissionDeniedError):
    """Another role must record this."""

    reason = "TRANSITION_NOT_YOURS"


class IllegalTransitionError(FailedPreconditionError):
    """The delivery cannot become this now; metadata names what it can become."""

    reason = "ILLEGAL_TRANSITION"


class OfferEndedError(FailedPreconditionError):
    """The offer was answered, expired or withdrawn."""

    reason = "OFFER_ENDED"


class NotMatchedYetError(FailedPreconditionError):
    """The delivery has been in no window yet."""

    reason = "NOT_MATCHED_YET"


class PartnerBusyError(FailedPreconditionError):
    """What the partner carries forbids the change."""

    reason = "PARTNER_BUSY"


class PartnerTakenError(FailedPreconditionError):
    """The partner has gone offline, or has no capacity left, since the window read it."""

    reason = "PARTNER_TAKEN"


class LeaseLostError(AbortedError):
    """Another matcher holds the city by now; the window's commit changes nothing."""

    reason = "LEASE_LOST"


class IdempotencyKeyInFlightError(AbortedError):
    """A request with this key is being worked on."""

    reason = "IDEMPOTENCY_KEY_IN_FLIGHT"


class VersionConflictError(AbortedError):
    """The stored version is not the one that was read."""

    reason = "VERSION_CONFLICT"


class ProblemTooLargeError(ResourceExhaustedError):
    """The matching problem has more pairs than one call may solve."""

    reason = "PROBLEM_TOO_LARGE"
    retry_after_s = None


class PositionsUnavailableError(UnavailableError):
    """Positions cannot be stored now."""

    reason = "POSITIONS_UNAVAILABLE"

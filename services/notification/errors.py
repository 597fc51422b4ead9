"""The notification service's error tree: what each refusal is called, and whether to fix or to retry.

ServiceError
├── InvalidArgumentError
│   └── TemplateInvalidError          fix: the message says what is wrong with the text
├── NotFoundError
│   ├── RecipientNotFoundError, MessageNotFoundError, TemplateNotFoundError
│   └── SuppressionNotFoundError, WebhookNotFoundError, AlertNotFoundError
├── FailedPreconditionError
│   ├── MessageUnderWayError          wait: it is about to be sent
│   ├── AlertRecoveredError           nothing to do: it is over
│   └── AddressSuppressedError        fix: only its owner can let it get messages again
├── AbortedError
│   └── VersionConflictError          read again, then retry
└── UnavailableError
    └── CircuitsUnavailableError      retry
"""

from libs.grpc_server.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)


class TemplateInvalidError(InvalidArgumentError):
    """The text is no template that can be used."""

    reason = "TEMPLATE_INVALID"


class RecipientNotFoundError(NotFoundError):
    """There is no such recipient, or the caller may not know of it."""

    reason = "RECIPIENT_NOT_FOUND"


class MessageNotFoundError(NotFoundError):
    """There is no such message, or the caller may not know of it."""

    reason = "MESSAGE_NOT_FOUND"


class TemplateNotFoundError(NotFoundError):
    """There is no such template, or the caller may not know of it."""

    reason = "TEMPLATE_NOT_FOUND"


class SuppressionNotFoundError(NotFoundError):
    """There is no such suppression."""

    reason = "SUPPRESSION_NOT_FOUND"


class AlertNotFoundError(NotFoundError):
    """There is no such alert."""

    reason = "ALERT_NOT_FOUND"


class AlertRecoveredError(FailedPreconditionError):
    """The alert is over."""

    reason = "ALERT_RECOVERED"


class WebhookNotFoundError(NotFoundError):
    """There is no such webhook, or the caller may not know of it."""

    reason = "WEBHOOK_NOT_FOUND"


class MessageUnderWayError(FailedPreconditionError):
    """The message waits or is being sent: it is sent without being asked for again."""

    reason = "MESSAGE_UNDER_WAY"


class AddressSuppressedError(FailedPreconditionError):
    """The address takes no messages."""

    reason = "ADDRESS_SUPPRESSED"


class VersionConflictError(AbortedError):
    """Somebody else has changed it since it was read."""

    reason = "VERSION_CONFLICT"


class CircuitsUnavailableError(UnavailableError):
    """Redis, which knows how providers fare, does not answer; the same request may succeed later."""

    reason = "CIRCUITS_UNAVAILABLE"

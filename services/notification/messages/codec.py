"""Messages between protobuf and plain values."""

from lastmile.notification.v1 import message_pb2

from libs.privacy.addresses import masked
from libs.privacy.vault import Vault
from services.notification.enums.codec import AUDIENCE_NUMBERS, CHANNEL_NUMBERS, STATE_NUMBERS
from services.notification.messages.store import Attempt, Message
from services.notification.recipients import places
from services.notification.sending.waiting import words_from
from services.notification.timestamps import timestamp


def message_to(message: Message, vault: Vault) -> message_pb2.Message:
    """Return a message as its callers see it."""
    sealed = message.address_sealed
    return message_pb2.Message(
        id=str(message.id),
        merchant_id=str(message.merchant_id or ""),
        delivery_id=str(message.delivery_id),
        recipient_id=str(message.recipient_id),
        audience=AUDIENCE_NUMBERS[message.audience],
        channel=CHANNEL_NUMBERS[message.channel],
        status=message.status,
        state=STATE_NUMBERS[message.state],
        language=message.language,
        masked_address=masked(vault.open(sealed, places.ADDRESS)) if sealed else "",
        planned_at=timestamp(message.planned_at),
        send_after=timestamp(message.send_after),
        attempts=message.attempts,
        provider=message.provider,
        reason=message.reason,
        updated_at=timestamp(message.updated_at),
    )


def attempt_to(attempt: Attempt, vault: Vault) -> message_pb2.MessageAttempt:
    """Return an attempt as its callers see it, with its words."""
    words = words_from(vault, attempt.content_sealed)
    return message_pb2.MessageAttempt(
        id=str(attempt.id),
        provider=attempt.provider,
        provider_message_id=attempt.provider_message_id,
        state=STATE_NUMBERS[attempt.state],
        started_at=timestamp(attempt.started_at),
        ended_at=timestamp(attempt.ended_at) if attempt.ended_at else None,
        error=attempt.error,
        requested_by=attempt.requested_by,
        subject=words.subject,
        body=words.body,
    )

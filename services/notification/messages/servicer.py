"""MessageService: what was sent to whom, and sending it again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lastmile.notification.v1 import message_pb2, message_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.privacy.vault import Vault
from services.notification.database import Database
from services.notification.errors import AddressSuppressedError, MessageNotFoundError, MessageUnderWayError
from services.notification.messages import store
from services.notification.messages.codec import attempt_to, message_to

# What somebody asks for is wanted now, not in days.
RESENT_FOR = timedelta(hours=4)
ATTEMPTS_MAX = 100
ID_MAX = UUID(int=(1 << 128) - 1)


class MessageServicer(message_pb2_grpc.MessageServiceServicer):
    """Answers MessageService."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def ListMessages(  # noqa: N802 - named by the proto
        self, request: message_pb2.ListMessagesRequest, context: Any
    ) -> message_pb2.ListMessagesResponse:
        """List a delivery's or a recipient's messages."""
        if bool(request.delivery_id) == bool(request.recipient_id):
            said = "give it or recipient_id, and not both"
            raise InvalidArgumentError.of(FieldViolation("delivery_id", said, "messages.of_one"))
        size, before_id = paging.page_size(request), paging.decode_id(request) or ID_MAX
        async with self._database.query(current_call()) as connection:
            if request.delivery_id:
                found = await store.of_delivery(connection, UUID(request.delivery_id), before_id, size + 1)
            else:
                found = await store.of_recipient(connection, UUID(request.recipient_id), before_id, size + 1)
        page = [message_to(message, self._vault) for message in found[:size]]
        token = paging.encode(request, page[-1].id) if len(found) > size else ""
        return message_pb2.ListMessagesResponse(messages=page, next_page_token=token)

    async def GetMessage(  # noqa: N802 - named by the proto
        self, request: message_pb2.GetMessageRequest, context: Any
    ) -> message_pb2.GetMessageResponse:
        """Return a message with its attempts."""
        message_id = UUID(request.message_id)
        async with self._database.query(current_call()) as connection:
            message = await store.get(connection, message_id)
            attempts = await store.attempts_of(connection, message_id, ATTEMPTS_MAX)
        if message is None:
            raise _not_found(request.message_id)
        return message_pb2.GetMessageResponse(
            message=message_to(message, self._vault), attempts=[attempt_to(one, self._vault) for one in attempts]
        )

    async def ResendMessage(  # noqa: N802 - named by the proto
        self, request: message_pb2.ResendMessageRequest, context: Any
    ) -> message_pb2.ResendMessageResponse:
        """Plan a message again, and remember who wanted it."""
        call, now, message_id = current_call(), datetime.now(UTC), UUID(request.message_id)
        async with self._database.command(call) as connection:
            message = await store.lock(connection, message_id)
            if message is None:
                raise _not_found(request.message_id)
            if message.suppressed_reason:
                raise AddressSuppressedError(
                    "its address takes no messages", metadata={"suppressed_reason": message.suppressed_reason}
                )
            subject = f"{call.principal.role}:{call.principal.subject}"
            if not await store.resend(connection, message_id, now, now + RESENT_FOR, subject):
                raise MessageUnderWayError(f"message {message_id} is {message.state}: it is sent anyway")
            planned = await store.get(connection, message_id)
        if planned is None:
            raise _not_found(request.message_id)
        return message_pb2.ResendMessageResponse(message=message_to(planned, self._vault))


def _not_found(message_id: str) -> MessageNotFoundError:
    return MessageNotFoundError(f"no message that you may see has the id {message_id}")

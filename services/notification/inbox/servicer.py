"""SandboxService: what the local inbox has got."""

from typing import Any
from uuid import UUID

from lastmile.notification.v1 import sandbox_pb2, sandbox_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.privacy.addresses import masked
from libs.privacy.vault import Vault
from services.notification.database import Database
from services.notification.enums.codec import CHANNEL_NUMBERS
from services.notification.inbox import store
from services.notification.inbox.store import Kept
from services.notification.recipients import places
from services.notification.sending.waiting import words_from
from services.notification.timestamps import timestamp

ID_MAX = UUID(int=(1 << 128) - 1)


class SandboxServicer(sandbox_pb2_grpc.SandboxServiceServicer):
    """Answers SandboxService."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def ListInbox(  # noqa: N802 - named by the proto
        self, request: sandbox_pb2.ListInboxRequest, context: Any
    ) -> sandbox_pb2.ListInboxResponse:
        """List messages, newest first."""
        call = current_call()
        own = call.principal.merchant_id
        size, before_id = paging.page_size(request), paging.decode_id(request) or ID_MAX
        async with self._database.query(call) as connection:
            found = await store.search(connection, before_id, size + 1, UUID(own) if own else None)
        page = [self._shown(kept) for kept in found[:size]]
        token = paging.encode(request, page[-1].id) if len(found) > size else ""
        return sandbox_pb2.ListInboxResponse(messages=page, next_page_token=token)

    def _shown(self, kept: Kept) -> sandbox_pb2.InboxMessage:
        words = words_from(self._vault, kept.content_sealed)
        return sandbox_pb2.InboxMessage(
            id=str(kept.id),
            channel=CHANNEL_NUMBERS[kept.channel],
            masked_address=masked(self._vault.open(kept.address_sealed, places.ADDRESS)),
            subject=words.subject,
            body=words.body,
            received_at=timestamp(kept.received_at),
        )

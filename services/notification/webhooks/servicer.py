"""WebhookService: where a merchant's system listens, and the secrets that what it gets is signed with."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lastmile.notification.v1 import webhook_pb2, webhook_pb2_grpc

from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.privacy.addresses import masked
from libs.privacy.vault import Vault
from services.notification.database import Database
from services.notification.errors import WebhookNotFoundError
from services.notification.planning.limits import PlanLimits
from services.notification.planning.rules import MERCHANT, WEBHOOK
from services.notification.recipients import places
from services.notification.recipients import store as recipients
from services.notification.recipients.addresses import kept
from services.notification.recipients.recipient import KeptAddress, owned_by
from services.notification.timestamps import timestamp
from services.notification.webhooks import store
from services.notification.webhooks.webhook import Webhook, WebhookUrlError, checked_url

SECRET_BYTES = 32
# Long enough for a receiver to be deployed with the new one.
BOTH_SECRETS_FOR = timedelta(days=1)


class WebhookServicer(webhook_pb2_grpc.WebhookServiceServicer):
    """Answers WebhookService."""

    def __init__(self, database: Database, vault: Vault, limits: PlanLimits, *, private_receivers: bool) -> None:
        self._database = database
        self._vault = vault
        self._limits = limits
        self._private_receivers = private_receivers

    async def SetWebhook(  # noqa: N802 - named by the proto
        self, request: webhook_pb2.SetWebhookRequest, context: Any
    ) -> webhook_pb2.SetWebhookResponse:
        """Say where a merchant's system listens."""
        call, merchant_id = current_call(), UUID(request.merchant_id)
        if call.principal.merchant_id not in (None, str(merchant_id)):
            raise _not_found(request.merchant_id)
        try:
            url = checked_url(request.url, private_receivers=self._private_receivers)
        except WebhookUrlError as error:
            raise InvalidArgumentError.of(FieldViolation("url", str(error), "webhook.url")) from None
        secret, fresh = self._new_secret()
        async with self._database.command(call) as connection:
            made = owned_by(MERCHANT, merchant_id, merchant_id, self._vault.seal("", places.NAME), self._limits)
            await recipients.set_owner(connection, made, {WEBHOOK: kept(self._vault, WEBHOOK, url)}, with_name=False)
            webhook = await store.set_webhook(connection, merchant_id, fresh, datetime.now(UTC))
        is_new = webhook.secret_sealed == fresh
        return webhook_pb2.SetWebhookResponse(webhook=_webhook_to(webhook, url), secret=secret if is_new else "")

    async def GetWebhook(  # noqa: N802 - named by the proto
        self, request: webhook_pb2.GetWebhookRequest, context: Any
    ) -> webhook_pb2.GetWebhookResponse:
        """Return a merchant's webhook."""
        merchant_id = UUID(request.merchant_id)
        async with self._database.query(current_call()) as connection:
            webhook = await store.get(connection, merchant_id)
            known = await recipients.addresses_of_owner(connection, MERCHANT, merchant_id)
        if webhook is None:
            raise _not_found(request.merchant_id)
        return webhook_pb2.GetWebhookResponse(webhook=_webhook_to(webhook, self._url(known)))

    async def RotateWebhookSecret(  # noqa: N802 - named by the proto
        self, request: webhook_pb2.RotateWebhookSecretRequest, context: Any
    ) -> webhook_pb2.RotateWebhookSecretResponse:
        """Make a new secret."""
        merchant_id, now = UUID(request.merchant_id), datetime.now(UTC)
        secret, fresh = self._new_secret()
        async with self._database.command(current_call()) as connection:
            webhook = await store.rotate(connection, merchant_id, fresh, now, now + BOTH_SECRETS_FOR)
            known = await recipients.addresses_of_owner(connection, MERCHANT, merchant_id)
        if webhook is None:
            raise _not_found(request.merchant_id)
        return webhook_pb2.RotateWebhookSecretResponse(webhook=_webhook_to(webhook, self._url(known)), secret=secret)

    async def DeleteWebhook(  # noqa: N802 - named by the proto
        self, request: webhook_pb2.DeleteWebhookRequest, context: Any
    ) -> webhook_pb2.DeleteWebhookResponse:
        """Tell a merchant's system nothing any more."""
        merchant_id = UUID(request.merchant_id)
        async with self._database.command(current_call()) as connection:
            if not await store.delete(connection, merchant_id):
                raise _not_found(request.merchant_id)
            made = owned_by(MERCHANT, merchant_id, merchant_id, self._vault.seal("", places.NAME), self._limits)
            await recipients.set_owner(connection, made, {WEBHOOK: None}, with_name=False)
        return webhook_pb2.DeleteWebhookResponse()

    def _new_secret(self) -> tuple[str, bytes]:
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return secret, self._vault.seal(secret, places.WEBHOOK_SECRET)

    def _url(self, known: list[KeptAddress]) -> str:
        found = (one for one in known if one.channel == WEBHOOK)
        return next((self._vault.open(one.address_sealed, places.ADDRESS) for one in found), "")


def _webhook_to(webhook: Webhook, url: str) -> webhook_pb2.Webhook:
    until = webhook.previous_until
    return webhook_pb2.Webhook(
        merchant_id=str(webhook.merchant_id),
        masked_url=masked(url),
        failures=webhook.failures,
        disabled_at=timestamp(webhook.disabled_at) if webhook.disabled_at else None,
        previous_secret_until=timestamp(until) if until and until > datetime.now(UTC) else None,
        updated_at=timestamp(webhook.updated_at),
    )


def _not_found(merchant_id: str) -> WebhookNotFoundError:
    return WebhookNotFoundError(f"no webhook that you may see is of the merchant {merchant_id}")

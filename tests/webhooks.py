"""Merchants of tests who have a webhook."""

import uuid
from datetime import UTC, datetime

from services.notification.planning.limits import PlanLimits
from services.notification.recipients import places
from services.notification.recipients import store as recipients
from services.notification.recipients.addresses import kept
from services.notification.recipients.recipient import owned_by
from services.notification.webhooks import store
from tests.notifications import Notifications, Story

SECRET = "whsec_" + "QUFB" * 11


async def listening(notifications: Notifications, url: str) -> Story:
    """A story whose merchant has a webhook, and an e-mail address for notices."""
    story, vault = notifications.story(), notifications.vault
    merchant_id = uuid.UUID(story.merchant_id)
    made = owned_by("merchant", merchant_id, merchant_id, vault.seal("Chai & Co", places.NAME), PlanLimits())
    addresses = {"webhook": kept(vault, "webhook", url), "email": kept(vault, "email", "chai@example.com")}
    async with notifications.primary.acquire() as connection:
        await recipients.set_owner(connection, made, addresses)
        sealed = vault.seal(SECRET, places.WEBHOOK_SECRET)
        await store.set_webhook(connection, merchant_id, sealed, datetime.now(UTC))
    await notifications.plan(*story.prologue(), story.created())
    return story

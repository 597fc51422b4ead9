"""Where ops' own system is told of alerts: settings say it, and the planner finds it among the addresses of ops."""

import asyncpg

from libs.privacy.vault import Vault
from services.notification.planning.limits import PlanLimits
from services.notification.planning.planner import OPS_OWNER
from services.notification.planning.rules import OPS, WEBHOOK
from services.notification.recipients import places, store
from services.notification.recipients.addresses import kept
from services.notification.recipients.recipient import owned_by


async def keep_ops_webhook(primary: asyncpg.Pool, vault: Vault, url: str) -> None:
    """Have ops be told at this URL; at none, if it is empty."""
    async with primary.acquire() as connection, connection.transaction():
        known = await store.addresses_of_owner(connection, OPS, OPS_OWNER)
        at = next((vault.open(one.address_sealed, places.ADDRESS) for one in known if one.channel == WEBHOOK), "")
        if at == url:
            return
        # What is urgent is told at night too: of its preferences none matters.
        made = owned_by(OPS, OPS_OWNER, None, vault.seal("", places.NAME), PlanLimits())
        wanted = {WEBHOOK: kept(vault, WEBHOOK, url) if url else None}
        await store.set_owner(connection, made, wanted, with_name=False)

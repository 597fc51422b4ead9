"""Suppression: an address that nothing more is sent to."""

import logging
from datetime import UTC, datetime

import asyncpg

from libs.ids import new_id
from libs.privacy.addresses import masked
from libs.privacy.vault import Vault
from services.notification.recipients import store
from services.notification.recipients.addresses import kept

log = logging.getLogger("notification")


async def suppress(connection: asyncpg.Connection, vault: Vault, channel: str, address: str, reason: str) -> None:
    """Send nothing more to an address; one that is suppressed already is so for this reason too."""
    sealed, hashed = kept(vault, channel, address)
    if await store.suppress(connection, new_id(), channel, sealed, hashed, reason, datetime.now(UTC)):
        log.info("an address is suppressed", extra={"channel": channel, "address": masked(address), "reason": reason})


async def lift(connection: asyncpg.Connection, vault: Vault, channel: str, address: str, reason: str) -> None:
    """Let an address get messages again that was suppressed for `reason`, and for no other; in a transaction."""
    _, hashed = kept(vault, channel, address)
    await store.lift_reason(connection, channel, hashed, reason)

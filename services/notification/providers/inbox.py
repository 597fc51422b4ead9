"""The local inbox: keeps what it is given in our own database, where /sandbox/inbox shows it, and sends nothing."""

import json
from datetime import UTC, datetime
from typing import ClassVar

import asyncpg
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.postgres.errors import UNREACHABLE
from libs.privacy.vault import Vault
from libs.resilience.errors import Outcome
from libs.resilience.verdict import Verdict
from services.notification.inbox import store
from services.notification.inbox.store import Kept
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.base import ProviderSettings
from services.notification.providers.outgoing import Accepted, Callback, Outgoing, Receipt, Sought
from services.notification.recipients import places


class InboxSettings(ProviderSettings):
    """It is as fast as the database."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_INBOX_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    rate_per_s_max: float = Field(5_000, gt=0, description="Messages a second that one sender hands to it")


class InboxProvider:
    """Keeps messages under their attempts' ids: the same one again changes nothing."""

    name: ClassVar[str] = "inbox"
    channels: ClassVar[frozenset[str]] = frozenset({"sms", "email"})
    drops_repeats: ClassVar[bool] = False
    can_look_up: ClassVar[bool] = False
    Settings = InboxSettings

    def __init__(self, settings: InboxSettings, primary: asyncpg.Pool, vault: Vault) -> None:
        self._primary = primary
        self._vault = vault

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Keep a message."""
        content = json.dumps({"subject": outgoing.words.subject, "body": outgoing.words.body})
        kept = Kept(
            outgoing.attempt_id,
            outgoing.merchant_id,
            outgoing.channel,
            self._vault.seal(outgoing.address, places.ADDRESS),
            self._vault.seal(content, places.CONTENT),
            datetime.now(UTC),
        )
        async with self._primary.acquire() as connection:
            await store.keep(connection, kept)
        return Accepted(str(outgoing.attempt_id), MessageState.DELIVERED)

    def classify(self, error: Exception) -> Verdict | None:
        """Keep on while the database is away: keeping the same again is harmless."""
        if isinstance(error, UNREACHABLE):
            return Verdict(counts=True, retryable=True, outcome=Outcome.UNKNOWN)
        return None

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Look whether it is there, which settles it."""
        async with self._primary.acquire() as connection:
            kept = await store.is_kept(connection, sought.outgoing.attempt_id)
        state = MessageState.DELIVERED if kept else MessageState.FAILED
        return Receipt(state, sought.outgoing.attempt_id, reason="" if kept else "NEVER_SENT")

    async def receipt_of(self, callback: Callback) -> Receipt | None:
        """Say nothing: nobody calls back."""
        return None

    async def close(self) -> None:
        """Hold nothing."""

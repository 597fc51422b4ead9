"""What a receiver's answers do to its webhook: too many messages that failed for good disable it, with a notice."""

import logging
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.notification.planning.rules import MERCHANT, WEBHOOK_DISABLED, Fact, plan
from services.notification.planning.store import add_messages, contacts_of
from services.notification.webhooks import store

log = logging.getLogger("notification")


async def noted(
    connection: asyncpg.Connection, merchant_id: UUID, *, taken: bool, gone: bool, failures_max: int
) -> None:
    """Note how a message to a merchant's system ended, in the transaction of `connection`.

    `gone` is that the receiver says it wants no more, which disables it at once.
    """
    now = datetime.now(UTC)
    if taken:
        await store.taken(connection, merchant_id)
    elif await store.failed(connection, merchant_id, 1 if gone else failures_max, now):
        log.warning("a webhook is disabled", extra={"merchant_id": str(merchant_id), "gone": gone})
        _, by_owner = await contacts_of(connection, (), {(MERCHANT, merchant_id)})
        at = now.isoformat()
        said = {"reference": "", "reason": "GONE" if gone else "FAILED", "at": at, "drop_from": at, "drop_until": at}
        # Its own name: each time it is disabled is news.
        await add_messages(
            connection, [*plan(Fact(new_id(), WEBHOOK_DISABLED, now, said), by_owner.values(), now)], now
        )

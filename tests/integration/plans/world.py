"""What the statements are asked about: rows of the filled tables, common and rare ones."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

BIG_CITY, SMALL_CITY = "C00", "C24"
_MERCHANT = "SELECT md5('merchant ' || $1::int)::uuid"
_DELIVERIES = "SELECT id FROM assignment.deliveries WHERE city_code = $1 AND state = $2 ORDER BY id DESC LIMIT 256"
_OLD = "SELECT id FROM assignment.deliveries WHERE state = 'delivered' ORDER BY id LIMIT 1"
_REFERENCES = """
SELECT merchant_id, merchant_reference, id FROM assignment.deliveries WHERE merchant_reference IS NOT NULL
ORDER BY id DESC LIMIT 256
"""
_PARTNERS = "SELECT id FROM assignment.partners WHERE city_code = $1 AND availability = 'online' ORDER BY id"
_OFFERS = """
SELECT id, delivery_id, partner_id FROM assignment.offers WHERE ended_at IS NULL AND city_code = $1
ORDER BY id DESC LIMIT 256
"""
_KEYS = "SELECT scope, key FROM assignment.idempotency_keys ORDER BY created_at DESC LIMIT 256"
_OLDEST_KEY = "SELECT min(created_at) FROM assignment.idempotency_keys"


@dataclass(frozen=True, slots=True)
class NotificationWorld:
    """Ids of the notification service's rows: batches of up to 256."""

    customers: list[UUID]
    merchants: list[UUID]
    deliveries: list[UUID]
    # Messages that are planned, and recipients of some that may be told of together.
    waiting: list[UUID]
    digested: list[UUID]
    attempts: list[UUID]
    # A customer and a delivery of the first merchant.
    of_merchant: UUID
    delivery_of_merchant: UUID

    @classmethod
    async def read(cls, connection: asyncpg.Connection) -> "NotificationWorld":
        """Look the rows up, as the owner."""

        async def ids(query: str) -> list[UUID]:
            return [row["id"] for row in await connection.fetch(query)]

        own = "merchant_id = md5('merchant 0')::uuid ORDER BY id LIMIT 1"
        return cls(
            customers=await ids("SELECT id FROM notification.recipients WHERE audience = 'customer' LIMIT 256"),
            merchants=await ids(
                "SELECT owner_id AS id FROM notification.recipients WHERE audience = 'merchant' LIMIT 256"
            ),
            deliveries=await ids("SELECT id FROM notification.deliveries LIMIT 256"),
            waiting=await ids("SELECT id FROM notification.messages WHERE state = 'planned' LIMIT 100"),
            digested=await ids(
                "SELECT DISTINCT recipient_id AS id FROM notification.messages "
                "WHERE state = 'planned' AND digestible LIMIT 20"
            ),
            attempts=await ids("SELECT id FROM notification.attempts WHERE state = 'sending' LIMIT 100"),
            of_merchant=(await ids(f"SELECT id FROM notification.recipients WHERE audience = 'customer' AND {own}"))[0],
            delivery_of_merchant=(await ids(f"SELECT id FROM notification.deliveries WHERE {own}"))[0],
        )


@dataclass(frozen=True, slots=True)
class World:
    """Ids of the filled database. Lists hold a batch of the writer, 256, unless said otherwise."""

    now: datetime
    merchant: UUID
    small_merchant: UUID
    pending: list[UUID]
    assigned: list[UUID]
    old_delivery: UUID
    references: list[asyncpg.Record]
    offers: list[asyncpg.Record]
    keys: list[asyncpg.Record]
    oldest_key_at: datetime
    matcher: UUID
    # Every one of the largest city who is online: about 3,600.
    online: list[UUID]
    notification: NotificationWorld

    @classmethod
    async def read(cls, connection: asyncpg.Connection) -> "World":
        """Look the rows up, as the owner."""

        async def ids(query: str, *values: object) -> list[UUID]:
            return [row["id"] for row in await connection.fetch(query, *values)]

        return cls(
            now=datetime.now(UTC),
            merchant=await connection.fetchval(_MERCHANT, 0),
            small_merchant=await connection.fetchval(_MERCHANT, 10_000),
            pending=await ids(_DELIVERIES, BIG_CITY, "pending"),
            assigned=await ids(_DELIVERIES, BIG_CITY, "assigned"),
            old_delivery=(await ids(_OLD))[0],
            references=await connection.fetch(_REFERENCES),
            offers=await connection.fetch(_OFFERS, BIG_CITY),
            keys=await connection.fetch(_KEYS),
            oldest_key_at=await connection.fetchval(_OLDEST_KEY),
            matcher=await connection.fetchval("SELECT id FROM assignment.matchers ORDER BY id LIMIT 1"),
            online=await ids(_PARTNERS, BIG_CITY),
            notification=await NotificationWorld.read(connection),
        )

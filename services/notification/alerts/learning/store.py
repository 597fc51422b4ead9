"""What outages are counted from, in PostgreSQL: every statement of this noun. The same again changes nothing."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from services.notification.alerts.learning.facts import Match, NetworkPartner, Withdrawal

# Served by network_partners_pkey. A partner of no network is kept where it was of one.
_SET_PARTNERS = """
INSERT INTO notification.network_partners AS p (partner_id, network_code, version)
SELECT n.partner_id, n.network_code, n.version FROM unnest($1::uuid[], $2::text[], $3::bigint[])
  AS n (partner_id, network_code, version)
WHERE n.network_code <> '' OR EXISTS (SELECT FROM notification.network_partners k WHERE k.partner_id = n.partner_id)
ORDER BY n.partner_id
ON CONFLICT (partner_id) DO UPDATE SET network_code = excluded.network_code, version = excluded.version
WHERE p.version < excluded.version
"""
# Served by network_partners_pkey and withdrawn_offers_pkey.
_ADD_WITHDRAWALS = """
INSERT INTO notification.withdrawn_offers (offer_id, delivery_id, merchant_id, network_code, withdrawn_at)
SELECT w.offer_id, w.delivery_id, w.merchant_id, p.network_code, w.at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[])
  AS w (offer_id, delivery_id, partner_id, merchant_id, at)
JOIN notification.network_partners p ON p.partner_id = w.partner_id
ORDER BY w.offer_id ON CONFLICT (offer_id) DO NOTHING
"""
# Served by withdrawn_offers_unmatched.
_MATCHED = """
UPDATE notification.withdrawn_offers w SET rematched_at = m.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS m (delivery_id, at)
WHERE w.delivery_id = m.delivery_id AND w.rematched_at IS NULL AND w.withdrawn_at <= m.at
"""
# Served by withdrawn_offers_pkey: ids begin with the time at which the offers were made.
_FORGET = "DELETE FROM notification.withdrawn_offers WHERE offer_id < $1"


async def set_partners(connection: asyncpg.Connection, partners: Iterable[NetworkPartner]) -> None:
    """Store which networks lend which partners."""
    known = list(partners)
    ids, codes = [one.partner_id for one in known], [one.network_code for one in known]
    await connection.execute(_SET_PARTNERS, ids, codes, [one.version for one in known])


async def add_withdrawals(connection: asyncpg.Connection, withdrawals: Sequence[Withdrawal]) -> None:
    """Store offers that were taken back from partners of networks."""
    await connection.execute(
        _ADD_WITHDRAWALS,
        [one.offer_id for one in withdrawals],
        [one.delivery_id for one in withdrawals],
        [one.partner_id for one in withdrawals],
        [one.merchant_id for one in withdrawals],
        [one.at for one in withdrawals],
    )


async def matched(connection: asyncpg.Connection, matches: Iterable[Match]) -> None:
    """Store which of the deliveries, whose offers were taken back, are offered to somebody again."""
    known = list(matches)
    await connection.execute(_MATCHED, [one.delivery_id for one in known], [one.at for one in known])


async def forget(connection: asyncpg.Connection, below_id: UUID) -> None:
    """Forget offers that were made before the time that the id begins with, and taken back."""
    await connection.execute(_FORGET, below_id)

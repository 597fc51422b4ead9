"""Tells of alerts: by the notification service's own messages, to ops and to the merchants who asked for it.

The messages about an alert have its id in the place of a delivery's: of each recipient, status and channel there is
one, by the same constraint as for every message.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notification.alerts import wording
from services.notification.alerts.alert import Alert
from services.notification.planning import store as planning_store
from services.notification.planning.planner import OPS_OWNER
from services.notification.planning.rules import (
    ALERT_OVER,
    ALERT_RAISED,
    MERCHANT,
    OPS,
    OUTAGE_BEGAN,
    OUTAGE_OVER,
    Contact,
    Fact,
    PlannedMessage,
    plan,
)

_MERCHANTS_TITLE = {False: "Part of your deliveries is affected by an outage", True: "An outage is over"}


async def tell_ops(connection: asyncpg.Connection, alert: Alert, now: datetime) -> list[tuple[str, str]]:
    """Plan what ops are told of an alert; return the channel and audience of each message that is new."""
    _, by_owner = await planning_store.contacts_of(connection, (), {(OPS, OPS_OWNER)})
    status = ALERT_RAISED if alert.recovered_at is None else ALERT_OVER
    fact = _fact(alert, status, wording.title_of(alert.key), wording.ops_text(alert, now), now)
    return await planning_store.add_messages(connection, _planned(fact, by_owner.values(), now), now)


async def tell_merchants(
    connection: asyncpg.Connection, alert: Alert, concerned: Mapping[UUID, int], now: datetime
) -> list[tuple[str, str]]:
    """Plan what merchants are told of an alert, each with its own count; return as `tell_ops` does."""
    if not concerned:
        return []
    is_over = alert.recovered_at is not None
    owners = {(MERCHANT, merchant_id) for merchant_id in concerned}
    _, by_owner = await planning_store.contacts_of(connection, (), owners)
    planned: list[PlannedMessage] = []
    for (_, merchant_id), contact in by_owner.items():
        text = wording.merchant_text(alert, concerned[merchant_id])
        fact = _fact(alert, OUTAGE_OVER if is_over else OUTAGE_BEGAN, _MERCHANTS_TITLE[is_over], text, now)
        planned += _planned(fact, [contact], now)
    return await planning_store.add_messages(connection, planned, now)


def _fact(alert: Alert, status: str, title: str, text: str, now: datetime) -> Fact:
    at = now.isoformat()
    variables = {"reference": title, "reason": text, "at": at, "drop_from": at, "drop_until": at}
    return Fact(alert.id, status, now, variables)


def _planned(fact: Fact, contacts: Iterable[Contact], now: datetime) -> list[PlannedMessage]:
    return [message for contact in contacts for message in plan(fact, [contact], now)]

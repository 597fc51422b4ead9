"""Alerts in PostgreSQL: every statement of this noun but for those that observe and those that learn."""

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.postgres.log_messages import emit
from services.notification.alerts.alert import Alert, Impact, Key, Kind, Symptom
from services.notification.alerts.lifecycle import AlertState, sources_of

LOG_PREFIX = "lastmile.events"
_COLUMNS = """id, kind, subject, state, symptoms, what, action, impact, since, opened_at, acknowledged_by,
  acknowledged_at, recovered_at, relapses, version"""
# Serves no index: a lock of the session, which ends with its connection.
_LEAD = "SELECT pg_try_advisory_lock(hashtext('notification.alerter'))"
# Serves no index.
_STOP_LEADING = "SELECT pg_advisory_unlock(hashtext('notification.alerter'))"
# Served by one_open_alert.
_OPEN = f"""
INSERT INTO notification.alerts ({_COLUMNS})
VALUES ($1, $2, $3, 'open', $4, $5, $6, $7::jsonb, $8, $9, '', NULL, NULL, 0, 1)
ON CONFLICT (kind, subject) WHERE state <> 'recovered' DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by one_open_alert.
_OPEN_ALERTS = f"SELECT {_COLUMNS} FROM notification.alerts WHERE state <> 'recovered' ORDER BY id LIMIT $1"  # noqa: S608 - our own text
# Served by one_open_alert. What says nothing new changes nothing.
_CHANGE = f"""
UPDATE notification.alerts SET symptoms = $3, what = $4, action = $5, impact = $6::jsonb, relapses = $7,
  version = version + 1
WHERE kind = $1 AND subject = $2 AND state <> 'recovered'
  AND (symptoms, what, action, impact, relapses) IS DISTINCT FROM ($3::text[], $4, $5, $6::jsonb, $7)
RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by one_open_alert.
_RECOVER = f"""
UPDATE notification.alerts SET state = 'recovered', recovered_at = $3, impact = $4::jsonb, version = version + 1
WHERE kind = $1 AND subject = $2 AND state <> 'recovered' AND state = ANY ($5::text[]) RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by alerts_pkey.
_ACKNOWLEDGE = f"""
UPDATE notification.alerts SET state = 'acknowledged', acknowledged_by = $2, acknowledged_at = $3,
  version = version + 1
WHERE id = $1 AND state = ANY ($4::text[]) RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by alerts_pkey.
_GET = f"SELECT {_COLUMNS} FROM notification.alerts WHERE id = $1"  # noqa: S608 - our own text
# Served by alerts_pkey, whose order is that of opening.
_LIST = f"SELECT {_COLUMNS} FROM notification.alerts WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608 - our own text
# Served by one_open_alert: few are open.
_LIST_OPEN = f"""
SELECT {_COLUMNS} FROM notification.alerts WHERE state <> 'recovered' AND id < $1 ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - our own text
# Served by outage_news_pkey.
_ASK = "INSERT INTO notification.outage_news (merchant_id, asked_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
# Served by outage_news_pkey.
_ASK_NO_MORE = "DELETE FROM notification.outage_news WHERE merchant_id = $1"
# Served by outage_news_pkey.
_ASKED = "SELECT EXISTS (SELECT FROM notification.outage_news WHERE merchant_id = $1)"
# Served by messages_by_delivery: the messages about an alert have its id.
_TOLD = """
SELECT DISTINCT merchant_id FROM notification.messages
WHERE delivery_id = $1 AND status = $2 AND merchant_id IS NOT NULL
"""
# Served by alerts_pkey: ids begin with the time at which they were made.
_FORGET = "DELETE FROM notification.alerts WHERE id < $1 AND state = 'recovered'"
# More than can be open: kinds and subjects are few.
OPEN_MAX = 1_000


async def lead(connection: asyncpg.Connection) -> bool:
    """Become the one alerter that leads, for as long as the connection lives; False while another is."""
    return bool(await connection.fetchval(_LEAD))


async def stop_leading(connection: asyncpg.Connection) -> None:
    """Let another lead."""
    await connection.execute(_STOP_LEADING)


async def open_alert(connection: asyncpg.Connection, alert: Alert) -> Alert | None:
    """Store a new alert; None when there is one of its key already."""
    row = await connection.fetchrow(
        _OPEN, alert.id, alert.key.kind, alert.key.subject, sorted(alert.symptoms), alert.what, alert.action,
        _json(alert.impact), alert.since, alert.opened_at,
    )  # fmt: skip
    return _alert(row) if row else None


async def open_alerts(connection: asyncpg.Connection) -> list[Alert]:
    """Return the alerts that are not over."""
    return [_alert(row) for row in await connection.fetch(_OPEN_ALERTS, OPEN_MAX)]


async def change(connection: asyncpg.Connection, alert: Alert) -> Alert | None:
    """Store what is new of an alert that is not over; None when nothing is, or it is over."""
    row = await connection.fetchrow(
        _CHANGE, alert.key.kind, alert.key.subject, sorted(alert.symptoms), alert.what, alert.action,
        _json(alert.impact), alert.relapses,
    )  # fmt: skip
    return _alert(row) if row else None


async def recover(connection: asyncpg.Connection, key: Key, impact: Impact, now: datetime) -> Alert | None:
    """End the alert of a key, with what it has affected in the end; None when there is none that is not over."""
    sources = sources_of(AlertState.RECOVERED)
    row = await connection.fetchrow(_RECOVER, key.kind, key.subject, now, _json(impact), sources)
    return _alert(row) if row else None


async def acknowledge(connection: asyncpg.Connection, alert_id: UUID, by: str, now: datetime) -> Alert | None:
    """Say who is at an alert; None when it is not open."""
    row = await connection.fetchrow(_ACKNOWLEDGE, alert_id, by, now, sources_of(AlertState.ACKNOWLEDGED))
    return _alert(row) if row else None


async def get(connection: asyncpg.Connection, alert_id: UUID) -> Alert | None:
    """Return an alert, or None when there is none."""
    row = await connection.fetchrow(_GET, alert_id)
    return _alert(row) if row else None


async def search(connection: asyncpg.Connection, before_id: UUID, rows_max: int, *, open_only: bool) -> list[Alert]:
    """Return alerts, newest first."""
    return [_alert(row) for row in await connection.fetch(_LIST_OPEN if open_only else _LIST, before_id, rows_max)]


async def set_news(connection: asyncpg.Connection, merchant_id: UUID, now: datetime, *, wanted: bool) -> None:
    """Store whether a merchant wants to be told of outages."""
    if wanted:
        await connection.execute(_ASK, merchant_id, now)
    else:
        await connection.execute(_ASK_NO_MORE, merchant_id)


async def wants_news(connection: asyncpg.Connection, merchant_id: UUID) -> bool:
    """Whether a merchant that the transaction may see wants to be told of outages."""
    return bool(await connection.fetchval(_ASKED, merchant_id))


async def told_merchants(connection: asyncpg.Connection, alert_id: UUID, status: str) -> Collection[UUID]:
    """Return the merchants that were told of an alert."""
    return {row["merchant_id"] for row in await connection.fetch(_TOLD, alert_id, status)}


async def forget(connection: asyncpg.Connection, below_id: UUID) -> None:
    """Forget alerts that are over and were opened before the time that the id begins with."""
    await connection.execute(_FORGET, below_id)


async def tell(connection: asyncpg.Connection, events: Collection[str]) -> None:
    """Publish events, in the transaction of what they tell."""
    await emit(connection, LOG_PREFIX, list(events))


def _json(impact: Impact) -> str:
    return json.dumps(asdict(impact))


def _alert(row: asyncpg.Record) -> Alert:
    return Alert(
        id=row["id"],
        key=Key(Kind(row["kind"]), row["subject"]),
        state=AlertState(row["state"]),
        symptoms=frozenset(map(Symptom, row["symptoms"])),
        what=row["what"],
        action=row["action"],
        impact=Impact(**json.loads(row["impact"])),
        since=row["since"],
        opened_at=row["opened_at"],
        acknowledged_by=row["acknowledged_by"],
        acknowledged_at=row["acknowledged_at"],
        recovered_at=row["recovered_at"],
        relapses=row["relapses"],
        version=row["version"],
    )

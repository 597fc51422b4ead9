"""The alerter: one of all leads, looks, and makes alerts of what it sees.

It leads by a lock of its database session, and does everything on that connection: one whose connection is lost cannot
write any more, and the next one leads. Were there ever two, `one_open_alert` and the messages' own constraint let only
one of them say anything.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.ids import floor_at, new_id
from libs.postgres.errors import UNREACHABLE
from libs.telemetry import error_text
from services.notification import metrics as service_metrics
from services.notification.alerts import metrics, news, rules, store, wording
from services.notification.alerts.alert import Alert, Impact, Key
from services.notification.alerts.clock import Clock
from services.notification.alerts.codec import changed_event
from services.notification.alerts.learning import store as learning_store
from services.notification.alerts.lifecycle import AlertState
from services.notification.alerts.observing.observer import Observer
from services.notification.alerts.rules import Finding, Join, Raise, Recover, RuleLimits, Track
from services.notification.planning.rules import OUTAGE_BEGAN
from services.notification.routes import Routes

log = logging.getLogger("alerts")


class AlerterLimits(BaseModel):
    """How promptly another takes over, and how long things are kept."""

    model_config = ConfigDict(frozen=True)

    standby_ms: int = Field(500, gt=0, description="Time between tries to lead")
    refresh_s: float = Field(5.0, gt=0, description="Time between counts of whom an open alert affects")
    forget_s: float = Field(300.0, gt=0, description="Time between forgetting what is older than is kept")
    alerts_kept_days: int = Field(90, gt=0, description="Alerts that are over are kept for this long")
    withdrawn_kept_days: int = Field(7, gt=0, description="Offers that were taken back are counted for this long")


class Alerter:
    """One alerter among any number."""

    def __init__(
        self,
        primary: asyncpg.Pool,
        observer: Observer,
        routes: Routes,
        rule_limits: RuleLimits,
        limits: AlerterLimits,
    ) -> None:
        self._primary = primary
        self._observer = observer
        self._routes = routes
        self._rule_limits = rule_limits
        self._limits = limits
        self._tracks: dict[Key, Track] = {}
        self._findings: dict[Key, Finding] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Lead whenever no other does, until `stop` is set."""
        while not stop.is_set():
            try:
                async with self._primary.acquire() as connection:
                    if await store.lead(connection):
                        await self._lead(connection, stop)
            except UNREACHABLE as error:
                log.warning("no alerts: the database does not answer", extra={"error": error_text(error)})
            metrics.LEADS.set(0)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._limits.standby_ms / 1000)

    async def _lead(self, connection: asyncpg.Connection, stop: asyncio.Event) -> None:
        log.info("alerter leads")
        metrics.LEADS.set(1)
        loop = asyncio.get_running_loop()
        refresh_at_s = forget_at_s = loop.time()
        try:
            self._tracks = {alert.key: _track_of(alert) for alert in await store.open_alerts(connection)}
            clock = Clock()
            while not stop.is_set():
                await self._look(connection, clock)
                if loop.time() >= refresh_at_s:
                    await self._refresh(connection)
                    refresh_at_s = loop.time() + self._limits.refresh_s
                if loop.time() >= forget_at_s:
                    await self._forget(connection)
                    forget_at_s = loop.time() + self._limits.forget_s
                await self._observer.wait()
        finally:
            # A connection that is lost holds no lock.
            with suppress(*UNREACHABLE):
                await store.stop_leading(connection)

    async def _look(self, connection: asyncpg.Connection, clock: Clock) -> None:
        """Do what one look calls for. What cannot be written is decided again by the next."""
        now, set_by = clock.look()
        self._tracks = rules.shifted(self._tracks, set_by)
        seen = await self._observer.look(connection, now, rules.receipts_missing_since(self._tracks))
        self._findings = rules.found(seen.signals, now)
        tracks, decisions = rules.step(self._tracks, self._findings, seen.unseen, now, self._rule_limits)
        for decision in decisions:
            if isinstance(decision, Raise):
                await self._raise(connection, decision, now)
            elif isinstance(decision, Recover):
                await self._recover(connection, decision, now)
        self._tracks = tracks
        for decision in decisions:
            if isinstance(decision, Join):
                await self._refresh(connection)
                break
        metrics.OPEN.set(sum(track.is_raised for track in tracks.values()))

    async def _raise(self, connection: asyncpg.Connection, decision: Raise, now: datetime) -> None:
        finding = decision.finding
        impact = await self._observer.impact(connection, finding.key, decision.since, now)
        action = wording.action_of(finding.key, finding.symptoms, impact, finding.probe_every_ms, self._routes)
        made = Alert(
            new_id(), finding.key, AlertState.OPEN, finding.symptoms, finding.what, action, impact, decision.since, now,
            "", None, None, 0, 1,
        )  # fmt: skip
        async with connection.transaction():
            alert = await store.open_alert(connection, made)
            if alert is None:
                return
            planned = await news.tell_ops(connection, alert, now)
            await store.tell(connection, [changed_event(alert, now)])
            planned += await self._tell_merchants(connection, alert, now)
        _count(alert.key, "raised", planned)
        log.warning("alert", extra={"alert_id": str(alert.id), "subject": alert.key.subject, "what": alert.what})

    async def _recover(self, connection: asyncpg.Connection, decision: Recover, now: datetime) -> None:
        known = {alert.key: alert for alert in await store.open_alerts(connection)}.get(decision.key)
        if known is None:
            return
        impact = await self._lasting_impact(connection, known, now)
        async with connection.transaction():
            alert = await store.recover(connection, decision.key, impact, now)
            if alert is None:
                return
            planned = await news.tell_ops(connection, alert, now)
            merchants = await store.told_merchants(connection, alert.id, OUTAGE_BEGAN)
            planned += await news.tell_merchants(connection, alert, dict.fromkeys(merchants, 0), now)
            await store.tell(connection, [changed_event(alert, now)])
        _count(alert.key, "gone" if decision.gone else "recovered", planned)
        log.info("alert is over", extra={"alert_id": str(alert.id), "subject": alert.key.subject})

    async def _refresh(self, connection: asyncpg.Connection) -> None:
        """Say of every open alert by what it is known and whom it affects, and to merchants that it affects them."""
        now = datetime.now(UTC)
        for known in await store.open_alerts(connection):
            track, finding = self._tracks.get(known.key), self._findings.get(known.key)
            if track is None:
                continue
            impact = await self._lasting_impact(connection, known, now)
            probe_ms = finding.probe_every_ms if finding else 0
            action = known.action
            if probe_ms:
                action = wording.action_of(known.key, track.symptoms, impact, probe_ms, self._routes)
            # Its words stay until there is another symptom, and do not change with every probe.
            what = finding.what if finding and finding.what and track.symptoms != known.symptoms else known.what
            fresh = Alert(
                known.id, known.key, known.state, track.symptoms, what, action, impact, known.since, known.opened_at,
                known.acknowledged_by, known.acknowledged_at, None, track.relapses, known.version,
            )  # fmt: skip
            async with connection.transaction():
                changed = await store.change(connection, fresh)
                if changed is not None:
                    await store.tell(connection, [changed_event(changed, now)])
                planned = await self._tell_merchants(connection, changed or known, now)
            _count(known.key, "changed" if changed else "", planned)

    async def _lasting_impact(self, connection: asyncpg.Connection, alert: Alert, now: datetime) -> Impact:
        """Return whom an outage affects; merchants that were affected stay counted when their messages have gone."""
        impact = await self._observer.impact(connection, alert.key, alert.since, now)
        return Impact(
            impact.partners, impact.offers_withdrawn, impact.deliveries_rematched, impact.messages_waiting,
            impact.messages_unknown, max(impact.merchants, alert.impact.merchants),
        )  # fmt: skip

    async def _tell_merchants(
        self, connection: asyncpg.Connection, alert: Alert, now: datetime
    ) -> list[tuple[str, str]]:
        concerned = await self._observer.concerned(connection, alert.key, alert.since, now)
        return await news.tell_merchants(connection, alert, concerned, now)

    async def _forget(self, connection: asyncpg.Connection) -> None:
        now, limits = datetime.now(UTC), self._limits
        await store.forget(connection, floor_at(now - timedelta(days=limits.alerts_kept_days)))
        await learning_store.forget(connection, floor_at(now - timedelta(days=limits.withdrawn_kept_days)))


def _track_of(alert: Alert) -> Track:
    return Track(is_raised=True, was_ill=True, symptoms=alert.symptoms, relapses=alert.relapses, since=alert.since)


def _count(key: Key, change: str, planned: list[tuple[str, str]]) -> None:
    if change:
        metrics.CHANGES.labels(key.kind, change).inc()
    for channel, audience in planned:
        service_metrics.PLANNED.labels(channel, audience).inc()

"""Compares a picture with the database: what differs though every event that explains it was told is drift."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from services.assignment.picture import metrics, store
from services.assignment.picture.city_picture import COMPLETED_KEPT_S
from services.assignment.picture.drift import (
    Suspects,
    completed_apart,
    delivery_drift,
    load_drift,
    partner_drift,
    suspects,
)
from services.assignment.picture.follower import CityFollower
from services.assignment.picture.keeper import CLOCK_SKEW_S, CityKeeper
from services.assignment.picture.lag import PublishingLag
from services.assignment.picture.settings import PictureLimits
from services.assignment.picture.store import CityRead, SomeRead

log = logging.getLogger("matcher")
_LOOK_EVERY_S = 0.1
_IDS_SHOWN_MAX = 20
# Completions before this are about to be forgotten.
_COMPLETED_COMPARED_S = 82_800.0


class Reconciler:
    """Compares one city, and mends what is wrong."""

    def __init__(self, keeper: CityKeeper, follower: CityFollower, limits: PictureLimits, lag: PublishingLag) -> None:
        self._primary = keeper.source.primary
        self._keeper = keeper
        self._follower = follower
        self._limits = limits
        self._lag = lag

    async def compare(self) -> Counter[str]:
        """Compare the picture with the database and mend it; return how much drift there was, by kind.

        Differences that events on their way may explain are waited for. Where none come, they are mended and no drift.
        """
        keeper = self._keeper
        async with keeper.source.turn(), keeper.lock:
            async with self._primary.acquire() as connection:
                read = await store.read_city(connection, keeper.city_code)
            now_s = keeper.source.now_s()
            span_s = (now_s - _COMPLETED_COMPARED_S, now_s - CLOCK_SKEW_S)
            found = suspects(keeper.picture, read.partners, read.deliveries, read.completed, span_s)
        keeper.picture.forget_completed(now_s - COMPLETED_KEPT_S)
        wrong = {"load": load_drift(keeper.city_code, read.partners.values(), read.deliveries.values())}
        if found:
            async with self._primary.acquire() as connection:
                then = await store.read_some(connection, found.partners.keys(), found.deliveries.keys())
            if not await self._told_up_to(then.lsn):
                metrics.RECONCILED.labels("lagging").inc()
                log.warning("events lag behind", extra={"city": keeper.city_code, "differences": len(found)})
                await keeper.rebuild("lagging", anew=False)
                return Counter()
            wrong |= await self._mend(found, then)
            wrong["completed"] = self._mend_completed(found.completed, read, span_s)
        drift = Counter({kind: len(identifiers) for kind, identifiers in wrong.items() if identifiers})
        for kind in drift:
            metrics.DRIFT.labels(kind).inc(drift[kind])
            _report(kind, wrong[kind], keeper.city_code)
        metrics.RECONCILED.labels("drift" if drift else "equal").inc()
        return drift

    async def _told_up_to(self, lsn: int) -> bool:
        """Wait until every event that was committed before `lsn` has been told; False when that takes too long."""
        deadline_s = time.monotonic() + self._limits.reconcile_wait_s
        stream, end = self._follower.stream, None
        while time.monotonic() < deadline_s and self._follower.hears_events:
            # What the slot confirms is in the streams; an entry's own position tells too little of a city without news.
            if end is None and self._lag.published_lsn >= lsn:
                end = await stream.newest()
            if end is not None and stream.position >= end:
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    async def _mend(self, found: Suspects, then: SomeRead) -> dict[str, list[UUID]]:
        """Return what has drifted, by kind, after all that `then` holds was told; believe the database."""
        keeper = self._keeper
        wrong: dict[str, list[UUID]] = {}
        async with keeper.lock:
            async with self._primary.acquire() as connection:
                now = await store.read_some(connection, found.partners.keys(), found.deliveries.keys())
            picture = keeper.picture
            for identifier, first in found.partners.items():
                before = then.partners.get(identifier)
                version = None if before is None else before.version
                kind = partner_drift(picture, identifier, first, version, now.partners.get(identifier))
                if kind is not None:
                    wrong.setdefault(f"partner {kind}", []).append(identifier)
            for identifier, first in found.deliveries.items():
                version = then.version(identifier)
                kind = delivery_drift(picture, identifier, first, version, now.deliveries.get(identifier))
                if kind is not None:
                    wrong.setdefault(f"delivery {kind}", []).append(identifier)
            ahead = [*wrong.get("partner ahead", ()), *wrong.get("delivery ahead", ())]
            keeper.mend(found.partners.keys(), found.deliveries.keys(), now, ahead)
        return wrong

    def _mend_completed(self, found: frozenset[UUID], read: CityRead, span_s: tuple[float, float]) -> list[UUID]:
        picture = self._keeper.picture
        wrong = sorted(completed_apart(picture, read.completed, span_s) & found)
        for partner_id in wrong:
            picture.set_completed(partner_id, read.completed.get(partner_id, ()), span_s)
        return wrong


def _report(kind: str, identifiers: Iterable[UUID], city_code: str) -> None:
    listed = list(map(str, identifiers))
    log.error(
        "the picture had drifted",
        extra={"city": city_code, "kind": kind, "count": len(listed), "ids": listed[:_IDS_SHOWN_MAX]},
    )

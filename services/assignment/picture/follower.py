"""Keeps a picture true to its stream: makes it, tells it the events, and makes it anew when some were lost.

While no events come, because Redis is away or nobody publishes, the picture is read from the database again and again,
at a bounded rate, and matching goes on.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from uuid import UUID

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from libs.postgres.errors import UNREACHABLE
from libs.streams.codec import UndecodableEventError, decode
from libs.streams.names import NO_CITY
from libs.telemetry import error_text
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.networks.network import PartnerNetwork
from services.assignment.partners.partner import Partner
from services.assignment.picture import metrics
from services.assignment.picture.codec import News, news_of
from services.assignment.picture.facts import Heard
from services.assignment.picture.keeper import CityKeeper, CompanyKeeper
from services.assignment.picture.lag import PublishingLag
from services.assignment.picture.settings import PictureLimits
from services.assignment.picture.stream import CityStream, Entries, NoStreamError, StreamLostError
from services.assignment.picture.telling import OfCity, told

log = logging.getLogger("matcher")

REDIS_AWAY = (RedisError, OSError, TimeoutError)
OUTAGES = (*UNREACHABLE, asyncpg.PostgresError, *REDIS_AWAY)


class Follower(ABC):
    """Follows one stream until `stop` is set. Raises only what is a bug."""

    def __init__(self, client: redis.Redis, city_code: str, limits: PictureLimits, lag: PublishingLag) -> None:
        self.stream = CityStream(client, city_code)
        self._city_code = city_code
        self._limits = limits
        self._lag = lag
        self.hears_events = False

    async def run(self, stop: asyncio.Event) -> None:
        """Make the picture and keep it."""
        why = "start"
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                overlap = await self.stream.begin(self._limits.overlap_events)
                await self._make(why, overlap)
                await self._follow(stop)
            except StreamLostError as error:
                log.error("events were lost", extra={"city": self._city_code, "error": str(error)})  # noqa: TRY400 - no bug, and its traceback says nothing
                why = "lost"
                # A stream that loses again and again is not read again and again without a pause.
                await self._wait(stop, began_s + self._limits.check_every_s - time.monotonic())
            except (NoStreamError, *OUTAGES) as error:
                log.warning("no events", extra={"city": self._city_code, "error": error_text(error)})
                why = "outage"
                await self._go_on_without(stop)
            finally:
                self.hears_events = False

    async def _follow(self, stop: asyncio.Event) -> None:
        limits, checked_s, made_s = self._limits, time.monotonic(), time.monotonic()
        self.hears_events = True
        while not stop.is_set():
            entries = await self.stream.read(limits.read_wait_ms, limits.read_events_max)
            await self._tell(entries)
            now_s = time.monotonic()
            if not entries or now_s - checked_s > limits.check_every_s:
                await self.stream.check()
                checked_s = now_s
            if self._lag.is_behind and now_s - made_s > limits.without_events_s:
                self.hears_events = False
                await self._make("lag")
                made_s = time.monotonic()
            self.hears_events = not self._lag.is_behind

    async def _go_on_without(self, stop: asyncio.Event) -> None:
        self.hears_events = False
        try:
            await self._make("no events")
        except OUTAGES as error:
            log.warning("no picture either", extra={"city": self._city_code, "error": error_text(error)})
        await self._wait(stop, self._limits.without_events_s)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, seconds))

    @abstractmethod
    async def _make(self, why: str, overlap: Entries = ()) -> None:
        """Make the picture from the database; `overlap` are the events before it."""

    @abstractmethod
    async def _tell(self, entries: Entries) -> None:
        """Tell the picture what the events say."""


class CityFollower(Follower):
    """Keeps a city's picture."""

    def __init__(self, client: redis.Redis, keeper: CityKeeper, limits: PictureLimits, lag: PublishingLag) -> None:
        super().__init__(client, keeper.city_code, limits, lag)
        self._keeper = keeper
        # What events have told of and the database did not show yet -> the version, and how often it was looked for.
        self._unseen: dict[UUID, tuple[int, int]] = {}

    async def _make(self, why: str, overlap: Entries = ()) -> None:
        # The stream goes on from where it is: what it has told since the read is not told again.
        await self._keeper.rebuild(why, anew=why != "lag")
        await self._tell(overlap, before_the_picture=True)

    async def _tell(self, entries: Entries, *, before_the_picture: bool = False) -> None:
        picture = self._keeper.picture
        partners: dict[UUID, Partner] = {}
        deliveries = {delivery_id: version for delivery_id, (version, _) in self._unseen.items()}
        heard: Counter[Heard] = Counter()
        for news in _news(self._city_code, entries):
            if not isinstance(news, OfCity):
                continue
            said = told(picture, news, before_the_picture=before_the_picture)
            heard[said] += 1
            if said is Heard.MISSED and isinstance(news, Partner):
                partners[news.id] = max(news, partners.get(news.id, news), key=attrgetter("version"))
            elif said is Heard.MISSED:
                deliveries[news.id] = max(news.version, deliveries.get(news.id, 0))
        for said, count in heard.items():
            metrics.EVENTS.labels(said.value).inc(count)
        if heard[Heard.NEWS]:
            self._keeper.changed.set()
        if partners or deliveries:
            await self._reread(partners, deliveries, "overlap" if before_the_picture else "missed")

    async def _reread(self, partners: dict[UUID, Partner], deliveries: dict[UUID, int], why: str) -> None:
        await self._keeper.refresh(partners.keys(), deliveries.keys(), why)
        for partner in partners.values():
            # While its commit cannot be seen yet, all that is known of it is what the event says.
            self._keeper.picture.told_partner(partner)
        for delivery_id, version in deliveries.items():
            _, tries = self._unseen.pop(delivery_id, (0, 0))
            if (self._keeper.picture.delivery_version(delivery_id) or 0) >= version:
                continue
            if tries < self._limits.unseen_tries:
                self._unseen[delivery_id] = version, tries + 1
            else:
                log.error("an event tells of a delivery that is not there", extra={"delivery": str(delivery_id)})


class CompanyFollower(Follower):
    """Keeps what belongs to no city."""

    def __init__(self, client: redis.Redis, keeper: CompanyKeeper, limits: PictureLimits, lag: PublishingLag) -> None:
        super().__init__(client, NO_CITY, limits, lag)
        self._keeper = keeper

    async def _make(self, why: str, overlap: Entries = ()) -> None:
        await self._keeper.rebuild()
        await self._tell(overlap)

    async def _tell(self, entries: Entries) -> None:
        for news in _news(NO_CITY, entries):
            if isinstance(news, MerchantPartners):
                self._keeper.company.told_lists(news)
            elif isinstance(news, PartnerNetwork):
                self._keeper.company.told_network(news)


def _news(city_code: str, entries: Entries) -> Iterable[News]:
    for entry_id, raw in entries:
        try:
            news = news_of(decode(city_code, entry_id, raw).message)
        except UndecodableEventError as error:
            # The comparison with the database finds what it was about.
            metrics.EVENTS.labels("undecodable").inc()
            log.error(  # noqa: TRY400 - the event is at fault, and its traceback says nothing
                "undecodable event", extra={"city": city_code, "entry": entry_id, "error": error_text(error)}
            )
            continue
        if news is not None:
            yield news

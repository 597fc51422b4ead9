"""A city's picture with the database behind it: made, mended, and told what the city's own matcher has committed."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.assignment.deliveries.lifecycle import TERMINAL
from services.assignment.merchants import store as merchants_store
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.offers.offer import Moved
from services.assignment.picture import metrics, store
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.company import Company
from services.assignment.picture.facts import ConcernedOffer, Heard, StateChange
from services.assignment.picture.source import Source
from services.assignment.picture.store import CityRead, SomeRead

log = logging.getLogger("matcher")

# Times of changes are told by the clocks of the hosts that make them.
CLOCK_SKEW_S = 60.0


class CompanyKeeper:
    """What belongs to no city, for all cities of a process."""

    def __init__(self, primary: asyncpg.Pool) -> None:
        self._primary = primary
        self.company = Company()

    async def rebuild(self) -> None:
        """Read the networks anew, and merchants' lists when they are next asked for."""
        async with self._primary.acquire() as connection:
            networks = await store.read_networks(connection)
        self.company.lists.clear()
        self.company.networks = {network.code: network for network in networks}

    async def know_lists(self, merchant_ids: Iterable[UUID]) -> None:
        """Read the lists of merchants who were never asked about."""
        unknown = self.company.unknown(merchant_ids)
        if unknown:
            async with self._primary.acquire() as connection:
                await self.reread_lists(connection, unknown)

    async def reread_lists(self, connection: asyncpg.Connection, merchant_ids: Collection[UUID]) -> None:
        """Read the lists of merchants; whoever has none has empty ones."""
        found = {lists.merchant_id: lists for lists in await merchants_store.partners_of(connection, merchant_ids)}
        for merchant_id in merchant_ids:
            self.company.told_lists(found.get(merchant_id) or MerchantPartners(merchant_id))

    async def reread_networks(self, connection: asyncpg.Connection) -> None:
        """Read how well the networks answer."""
        for network in await store.read_networks(connection):
            self.company.told_network(network)


class CityKeeper:
    """One city. `lock` is held from a read of the database until it is taken in, and from a commit likewise.

    So a read never misses a commit of this matcher whose effects no event tells of. Events need no lock: their versions
    say whether they are news.
    """

    def __init__(self, source: Source, city_code: str, company: CompanyKeeper) -> None:
        self.city_code = city_code
        self.company = company
        self.source = source
        self.lock = asyncio.Lock()
        self.ready = asyncio.Event()
        self.changed = asyncio.Event()
        self.picture = CityPicture(city_code)
        # Whether a commit of this matcher may have happened that the picture was not told of.
        self.doubted = False

    async def rebuild(self, why: str, *, anew: bool = True) -> CityRead:
        """Make the picture from the database; unless it is made `anew`, what is known to be newer stays."""
        started_s = time.monotonic()
        async with self.source.turn(), self.lock:
            async with self.source.primary.acquire() as connection:
                _, began_s = await store.log_position(connection)
                self.source.set_time(began_s)
                read = await store.read_city(connection, self.city_code)
            self.doubted = False
            partners, deliveries = self._take_in(
                read, began_s - CLOCK_SKEW_S, CityPicture(self.city_code) if anew else self.picture
            )
            if partners or deliveries:
                # Too new for the snapshot; or over, or gone, by now.
                await self._refresh(partners, deliveries)
        took_s = time.monotonic() - started_s
        metrics.REBUILDS.labels(why).inc()
        metrics.REBUILD_S.observe(took_s)
        self.ready.set()
        self.changed.set()
        figures = {"partners": len(read.partners), "deliveries": len(read.deliveries), "took_ms": round(took_s * 1000)}
        log.info("picture made", extra={"city": self.city_code, "why": why, **figures})
        return read

    async def refresh(self, partner_ids: Collection[UUID], delivery_ids: Collection[UUID], why: str) -> None:
        """Read partners and deliveries again, and believe what the database says."""
        metrics.REFRESHED.labels(why).inc(len(partner_ids) + len(delivery_ids))
        async with self.lock:
            await self._refresh(partner_ids, delivery_ids)
        self.changed.set()

    async def refresh_locked(self, partner_ids: Collection[UUID], delivery_ids: Collection[UUID], why: str) -> SomeRead:
        """The same, for one who holds the lock; return what was read."""
        metrics.REFRESHED.labels(why).inc(len(partner_ids) + len(delivery_ids))
        read = await self._refresh(partner_ids, delivery_ids)
        self.changed.set()
        return read

    def committed(self, moves: Sequence[Moved]) -> set[UUID]:
        """Take in what this matcher has just committed; return the deliveries that must be read again."""
        missed = set()
        for moved in moves:
            if self.picture.told_change(_change_of(moved)) is Heard.MISSED:
                missed.add(moved.delivery.id)
        self.changed.set()
        return missed

    def stayed(self, rows: Sequence[tuple[UUID, datetime, int]]) -> None:
        """Take in which deliveries stay pending: (id, match_after, match_attempts)."""
        for row in rows:
            self.picture.stayed(*row)
        self.changed.set()

    def _take_in(self, read: CityRead, since_s: float, before: CityPicture) -> tuple[set[UUID], set[UUID]]:
        """Put what was read in the place of the picture; return partners and deliveries that it does not explain."""
        made = CityPicture(self.city_code)
        made.succeed(before, read.completed, since_s)
        for partner in read.partners.values():
            if (before.partner_version(partner.id) or 0) <= partner.version:
                made.put_partner(partner)
            elif (known := before.partners.get(partner.id)) is not None:
                made.put_partner(known)
        for live in read.deliveries.values():
            if (before.delivery_version(live.id) or 0) <= live.version:
                made.put_delivery(live)
            elif live.id in before.deliveries:
                made.put_delivery(before.deliveries[live.id])
        self.picture = made
        return before.partners.row_of.keys() - read.partners.keys(), before.deliveries.keys() - read.deliveries.keys()

    async def _refresh(self, partner_ids: Collection[UUID], delivery_ids: Collection[UUID]) -> SomeRead:
        async with self.source.primary.acquire() as connection:
            read = await store.read_some(connection, partner_ids, delivery_ids)
        self._believe(read)
        return read

    def mend(
        self, partner_ids: Collection[UUID], delivery_ids: Collection[UUID], read: SomeRead, ahead: Collection[UUID]
    ) -> None:
        """Believe a read of these, and forget those of them that are not there; for one who holds the lock.

        ahead: those whose versions are believed though higher ones were told.
        """
        self._believe(read)
        for identifier in ahead:
            if identifier in read.partners:
                self.picture.put_partner(read.partners[identifier])
            elif identifier in read.deliveries:
                self.picture.put_delivery(read.deliveries[identifier])
        for partner_id in partner_ids:
            if partner_id not in read.partners:
                self.picture.drop_partner(partner_id)
        for delivery_id in delivery_ids:
            if delivery_id not in read.deliveries and delivery_id not in read.ended:
                self.picture.end_delivery(delivery_id, 0)
        self.changed.set()

    def _believe(self, read: SomeRead) -> None:
        picture = self.picture
        for partner in read.partners.values():
            if partner.version >= (picture.partner_version(partner.id) or 0):
                picture.put_partner(partner)
        for live in read.deliveries.values():
            if live.version >= (picture.delivery_version(live.id) or 0):
                picture.put_delivery(live)
        for delivery_id, version in read.ended.items():
            if delivery_id in picture.deliveries and delivery_id in read.completed:
                picture.add_completed(*read.completed[delivery_id])
            picture.end_delivery(delivery_id, version)


def _change_of(moved: Moved) -> StateChange:
    offer, delivery = moved.offer, moved.delivery
    concerned = ConcernedOffer(offer.id, offer.partner_id, offer.state, offer.expires_at) if offer is not None else None
    return StateChange(
        id=delivery.id,
        version=delivery.version,
        to_state=delivery.state,
        recorded_at=moved.change.recorded_at,
        match_after=delivery.match_after,
        offer=concerned,
        ranks=moved.ranks,
        is_correction=moved.change.from_state in TERMINAL,
    )

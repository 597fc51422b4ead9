"""Keeps the cache of queries up to date: every event outdates what it changes, and a partner's writes it through."""

import time
from collections.abc import Sequence
from typing import ClassVar

import asyncpg
from lastmile.assignment.v1 import partner_pb2
from lastmile.events.v1 import event_pb2

from libs.cache.entries import FOUND, Entry, Place, checked, keep_command, outdate_command
from libs.cache.kept import KeptBytes
from libs.cache.limits import CacheLimits
from libs.cache.link import CacheAwayError, CacheLink, Command
from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_clock import history_of
from libs.postgres.log_position import number_of, position
from libs.streams.codec import Event
from libs.streams.dead_letters import is_replay
from libs.streams.handler import TryLaterError
from services.assignment import cached_queries as tags

GET_PARTNER = "/lastmile.assignment.v1.PartnerService/GetPartner"
# A promotion is noticed within this. What is written through meanwhile is in no reader's way.
_HISTORY_KNOWN_S = 5.0


class CacheProjector:
    """A consumer whose effects are in Redis. Doing them again changes nothing: tags only go forward."""

    name: ClassVar[str] = "assignment_cache"
    types: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, primary: asyncpg.Pool, cache_link: CacheLink, cache_limits: CacheLimits, cache_windows: tags.CacheWindows
    ) -> None:
        self._primary = primary
        self._link = cache_link
        self._limits = cache_limits
        self._partner_window_ms = int(cache_windows.get_partner_s * 1000)
        self._history, self._history_read_at_s = "", 0.0
        self._log_end = 0
        self._kept = KeptBytes(cache_limits.kept_bytes_max)

    async def handle(self, batch: Sequence[Event]) -> None:
        """Outdate what the events change, and write the partners among them through."""
        outdated: dict[str, int] = {}
        partners: list[tuple[int, partner_pb2.Partner]] = []
        for event in batch:
            at, is_its_own = await self._position_of(event)
            for tag in tags_of(event.message):
                outdated[tag] = max(at, outdated.get(tag, 0))
            if event.message.HasField("partner_changed") and is_its_own:
                partners.append((at, event.message.partner_changed.partner))
        try:
            commands = [outdate_command(tag, at, self._limits.tag_ttl_s) for tag, at in outdated.items()]
            if partners and self._partner_window_ms:
                history = await self._known_history()
                for at, partner in partners:
                    commands += self._written_through(history, at, partner)
            checked(await self._link.ask(*commands))
        except CacheAwayError as error:
            raise TryLaterError(str(error)) from error

    async def _position_of(self, event: Event) -> tuple[int, bool]:
        """Return a position that covers the event, and whether it is the event's own.

        Replayed events, and those that another publisher than our relay has brought, are in their streams by ids that
        are times: no positions, and for the first 1.7 TB of a log far beyond its end. That covers them as well, if not
        only them.
        """
        at, replayed = covering(event.entry_id), is_replay(event.stream)
        if replayed or at > self._log_end:
            self._log_end = number_of(await position(self._primary))
        return (self._log_end, False) if replayed or at > self._log_end else (at, True)

    def _written_through(self, history: str, at: int, partner: partner_pb2.Partner) -> list[Command]:
        """Return what keeps GetPartner's answers, as of the event's own commit: ops' and the partner's."""
        request = partner_pb2.GetPartnerRequest(partner_id=partner.id).SerializeToString(deterministic=True)
        answer = partner_pb2.GetPartnerResponse(partner=partner).SerializeToString()
        entry = Entry(FOUND, answer, at, None)
        tag, era = tags.partner_tag(partner.id), f"{history}/{self._link.run_id}"
        readers = (Principal("ops", Role.OPS), Principal(partner.id, Role.PARTNER, partner_id=partner.id))
        places = (Place.of(tag, era, reader.scope, GET_PARTNER, request) for reader in readers)
        return [
            keep_command(place, entry, self._partner_window_ms, self._limits.tag_ttl_s)
            for place in places
            if self._kept.add(place.key, len(answer), self._partner_window_ms / 1000)
        ]

    async def _known_history(self) -> str:
        now_s = time.monotonic()
        if not self._history or now_s - self._history_read_at_s > _HISTORY_KNOWN_S:
            self._history, self._history_read_at_s = await history_of(self._primary), now_s
        return self._history


def covering(entry_id: str) -> int:
    """Return the first position that covers the event: an entry's id begins with where its commit's record starts."""
    return int(entry_id.partition("-")[0]) + 1


def tags_of(event: event_pb2.Event) -> list[str]:
    """Return the tags of what an event changes."""
    kind = event.WhichOneof("data")
    if kind == "city_changed":
        return [tags.CITIES]
    if kind == "partner_network_changed":
        return [tags.NETWORKS]
    if kind in {"merchant_created", "merchant_partners_changed"}:
        found = [tags.merchant_tag(event.subject.split("/")[1])]
        return [*found, tags.MERCHANTS] if kind == "merchant_created" else found
    if kind == "partner_changed":
        return [tags.partner_tag(event.partner_changed.partner.id), tags.partners_tag(event.city_code)]
    found = [tags.city_deliveries_tag(event.city_code), tags.merchant_deliveries_tag(event.merchant_id)]
    # An offer that comes, ends or goes on changes what its partner holds.
    changed = event.delivery_state_changed
    held_by = {changed.offer.partner_id, changed.change.partner_id} - {""}
    if held_by:
        found += [tags.partners_tag(event.city_code), *map(tags.partner_tag, sorted(held_by))]
    return found

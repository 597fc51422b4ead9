"""A city's picture: its partners, the deliveries that have not ended, what was completed lately. Pure.

Invariants: a partner's load is the sum of the live offers that name it; whatever is told of an aggregate counts only if
its version is above the one that is known, so that it does not matter how often, or with what else between, a change is
told. What happened to one aggregate never depends on another one.
"""

from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.partners.partner import Partner
from services.assignment.picture.due_queue import DueQueue
from services.assignment.picture.facts import Heard, LiveDelivery, StateChange, after
from services.assignment.picture.partner_table import PartnerTable

# A shift slot lasts a day at most.
COMPLETED_KEPT_S = 86_400.0


class CityPicture:
    """One city. `ended_max`: of how many ended deliveries it is known that they have ended."""

    def __init__(self, city_code: str, ended_max: int = 10_000) -> None:
        self.city_code = city_code
        self.partners = PartnerTable()
        self.deliveries: dict[UUID, LiveDelivery] = {}
        self.held: dict[UUID, set[UUID]] = {}
        self.pending = DueQueue()
        self.expiring = DueQueue()
        # When each partner has completed deliveries, seconds since 1970, in order.
        self.completed: dict[UUID, list[float]] = {}
        # Partners whose holdings have changed since somebody asked.
        self.moved: set[UUID] = set()
        self._left: dict[UUID, int] = {}
        self._ended: OrderedDict[UUID, int] = OrderedDict()
        self._ended_max = ended_max

    def delivery_version(self, delivery_id: UUID) -> int | None:
        """Return the version that is known of a delivery, live or ended; None for an unknown one."""
        live = self.deliveries.get(delivery_id)
        return self._ended.get(delivery_id) if live is None else live.version

    def partner_version(self, partner_id: UUID) -> int | None:
        """Return the version that is known of a partner, here or gone to another city; None for an unknown one."""
        known = self.partners.get(partner_id)
        return self._left.get(partner_id) if known is None else known.version

    def told_partner(self, partner: Partner) -> Heard:
        """Take in what a partner is now. One that is in another city by now leaves."""
        known = self.partner_version(partner.id)
        if known is not None and partner.version <= known:
            return Heard.KNOWN
        self.put_partner(partner)
        return Heard.NEWS

    def told_creation(self, live: LiveDelivery) -> Heard:
        """Take in a new delivery."""
        if self.delivery_version(live.id) is not None:
            return Heard.KNOWN
        self.put_delivery(live)
        return Heard.NEWS

    def told_change(self, change: StateChange) -> Heard:
        """Take in a delivery's move; MISSED when it is not the next one, or not enough is known to make it."""
        live, known = self.deliveries.get(change.id), self.delivery_version(change.id)
        if known is not None and change.version <= known:
            return Heard.KNOWN
        if live is None and change.is_correction:
            # It had ended, perhaps before anything was read: nothing of it is here, and nothing missing.
            self.end_delivery(change.id, change.version)
            return Heard.NEWS
        if live is None or change.version != live.version + 1:
            return Heard.MISSED
        if change.ends:
            self.end_delivery(live.id, change.version)
            if change.completed_by is not None:
                self.add_completed(change.completed_by, change.recorded_at.timestamp())
            return Heard.NEWS
        later = after(live, change)
        if later is None:
            return Heard.MISSED
        self.put_delivery(later)
        return Heard.NEWS

    def stayed(self, delivery_id: UUID, match_after: datetime, match_attempts: int) -> None:
        """Take in that a pending delivery got no partner: not a change of it, so no event tells of this."""
        live = self.deliveries.get(delivery_id)
        if live is not None and live.state is DeliveryState.PENDING:
            self.put_delivery(replace(live, match_after=match_after, match_attempts=match_attempts))

    def put_partner(self, partner: Partner) -> None:
        """Set what a partner is, whatever is known of it."""
        if partner.profile.city_code != self.city_code:
            self.partners.drop(partner.id)
            self._left[partner.id] = partner.version
            return
        self._left.pop(partner.id, None)
        new = partner.id not in self.partners.row_of
        self.partners.put(partner)
        if new:
            self.moved.add(partner.id)
            for delivery_id in self.held.get(partner.id, ()):
                self._hold(self.deliveries[delivery_id], 1)

    def drop_partner(self, partner_id: UUID) -> None:
        """Forget a partner."""
        self.partners.drop(partner_id)

    def put_delivery(self, live: LiveDelivery) -> None:
        """Set what a live delivery is, whatever is known of it."""
        self._let_go(live.id)
        self._ended.pop(live.id, None)
        self.deliveries[live.id] = live
        if live.state is DeliveryState.PENDING:
            self.pending.put(live.id, live.match_after.timestamp())
        else:
            self.pending.drop(live.id)
        if live.offer is None or live.offer.expires_at is None:
            self.expiring.drop(live.id)
        else:
            self.expiring.put(live.id, live.offer.expires_at.timestamp())
        if live.offer is not None:
            self.held.setdefault(live.offer.partner_id, set()).add(live.id)
            self._hold(live, 1)

    def end_delivery(self, delivery_id: UUID, version: int) -> None:
        """Let a delivery go that has ended."""
        self._let_go(delivery_id)
        self.deliveries.pop(delivery_id, None)
        self.pending.drop(delivery_id)
        self.expiring.drop(delivery_id)
        self._ended[delivery_id] = version
        while len(self._ended) > self._ended_max:
            self._ended.popitem(last=False)

    def add_completed(self, partner_id: UUID, at_s: float) -> None:
        """Count a delivery that a partner has completed."""
        insort(self.completed.setdefault(partner_id, []), at_s)

    def succeed(self, before: "CityPicture", completed: Mapping[UUID, list[float]], since_s: float) -> None:
        """Take over what a read of the city cannot say: what is over, and what was completed since it began.

        completed: what was read, when each partner has completed deliveries, in order.
        """
        self._ended, self._left = before._ended, before._left
        self.completed = {partner_id: list(times) for partner_id, times in completed.items()}
        for partner_id, times in before.completed.items():
            newer = Counter(times[bisect_left(times, since_s) :])
            newer.subtract(self.completed.get(partner_id, ()))
            for at_s in (+newer).elements():
                self.add_completed(partner_id, at_s)

    def set_completed(self, partner_id: UUID, times: Iterable[float], span_s: tuple[float, float]) -> None:
        """Believe what was read of when a partner has completed deliveries in a span of time."""
        first_s, last_s = span_s
        others = [at_s for at_s in self.completed.get(partner_id, ()) if not first_s <= at_s <= last_s]
        self.completed[partner_id] = sorted([*others, *(at_s for at_s in times if first_s <= at_s <= last_s)])

    def forget_completed(self, before_s: float) -> None:
        """Let go what was completed before a time."""
        for partner_id, times in list(self.completed.items()):
            kept = times[bisect_left(times, before_s) :]
            if kept:
                self.completed[partner_id] = kept
            else:
                del self.completed[partner_id]

    def due(self, now_s: float, most: int) -> list[LiveDelivery]:
        """Return up to `most` pending deliveries that are due, longest waiting first."""
        return [self.deliveries[identifier] for identifier in self.pending.due(now_s, most)]

    def expired(self, now_s: float, most: int) -> list[LiveDelivery]:
        """Return up to `most` deliveries whose open offer's time is over."""
        return [self.deliveries[identifier] for identifier in self.expiring.due(now_s, most)]

    def holdings(self, partner_id: UUID) -> Iterable[LiveDelivery]:
        """Return what a partner holds, in the order in which it was offered."""
        found = [self.deliveries[identifier] for identifier in self.held.get(partner_id, ())]
        return sorted(found, key=lambda live: live.offer.id if live.offer is not None else live.id)

    def _let_go(self, delivery_id: UUID) -> None:
        before = self.deliveries.get(delivery_id)
        if before is None or before.offer is None:
            return
        partner_id = before.offer.partner_id
        self.held[partner_id].discard(delivery_id)
        if not self.held[partner_id]:
            del self.held[partner_id]
        self._hold(before, -1)

    def _hold(self, live: LiveDelivery, sign: int) -> None:
        partner_id = live.offer.partner_id if live.offer is not None else None
        if partner_id is None:
            return
        self.moved.add(partner_id)
        if partner_id in self.partners.row_of:
            cash_paise = sign * live.cash_on_delivery_paise
            self.partners.hold(partner_id, sign, sign * live.weight_g, sign * live.volume_cm3, cash_paise)

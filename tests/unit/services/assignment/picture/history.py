"""A city as the database would have it, made up move by move by the rules that the service goes by, and its events."""

import base64
import json
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from lastmile.events.v1 import event_pb2

from libs.grpc_server.errors import ServiceError
from libs.ids import new_id
from services.assignment.deliveries.codec import created_event, delivery_to
from services.assignment.deliveries.delivery import Amount, Delivery, Point
from services.assignment.deliveries.lifecycle import TERMINAL, TRANSITIONS, Actor, DeliveryState, OfferState
from services.assignment.offers.codec import moved_event
from services.assignment.offers.decision import decide
from services.assignment.offers.offer import Move, NewOffer, Offer
from services.assignment.partners.codec import changed_events
from services.assignment.partners.partner import Capacity, Load, Partner, Profile, Slot
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.codec import news_of
from services.assignment.picture.facts import REFUSED, LiveDelivery, LiveOffer, live_from
from services.assignment.picture.telling import OfCity
from tests.factories import CITY, details

ELSEWHERE = "DEL"
BEGAN = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@dataclass
class Read:
    """What a read of the city finds."""

    partners: dict[UUID, Partner]
    deliveries: dict[UUID, LiveDelivery]
    completed: dict[UUID, list[float]]

    def picture(self) -> CityPicture:
        made = CityPicture(CITY)
        for partner in self.partners.values():
            made.put_partner(partner)
        for live in self.deliveries.values():
            made.put_delivery(live)
        made.succeed(CityPicture(CITY), self.completed, 0)
        return made


@dataclass
class _Row:
    delivery: Delivery
    live: Offer | None = None
    ranks: tuple[float, float] = (0, 0)
    declined: frozenset[UUID] = frozenset()


@dataclass
class History:
    """Moves on until it is asked what there is. `events` are those of the city's stream, in order."""

    chance: random.Random
    now: datetime = BEGAN
    events: list[OfCity] = field(default_factory=list)
    partners: dict[UUID, Partner] = field(default_factory=dict)
    _rows: dict[UUID, _Row] = field(default_factory=dict)
    _completed: dict[UUID, list[float]] = field(default_factory=dict)

    def step(self) -> None:
        """Let something happen."""
        self.now += timedelta(seconds=self.chance.uniform(0.001, 60))
        what = self.chance.random()
        if what < 0.1 or not self.partners:
            self._change_partner()
        elif what < 0.3 or not self._rows:
            self._create()
        else:
            self._move()

    def read(self) -> Read:
        """Return what is in the city's tables now."""
        live = {i: self._live(row) for i, row in self._rows.items() if row.delivery.state not in TERMINAL}
        here = {i: partner for i, partner in self.partners.items() if partner.profile.city_code == CITY}
        return Read(here, live, {i: list(times) for i, times in self._completed.items()})

    def versions(self) -> dict[UUID, int]:
        """Return every delivery's version, live or ended."""
        return {identifier: row.delivery.version for identifier, row in self._rows.items()}

    def _live(self, row: _Row) -> LiveDelivery:
        offer = row.live
        held = None
        if offer is not None:
            expires_at = offer.expires_at if offer.state is OfferState.OPEN else None
            held = LiveOffer(offer.id, offer.partner_id, expires_at, *row.ranks)
        return live_from(row.delivery, declined=row.declined, offer=held)

    def _change_partner(self) -> None:
        chance = self.chance
        if not self.partners or chance.random() < 0.3:
            partner = partner_of(CITY, self.now)
            before = CITY
        else:
            before_it = chance.choice(list(self.partners.values()))
            before = before_it.profile.city_code
            city = chance.choice([CITY, CITY, ELSEWHERE])
            partner = replace(
                before_it,
                profile=replace(before_it.profile, city_code=city, rating=round(chance.uniform(1, 5), 1)),
                availability=chance.choice(["online", "offline"]),
                shift_slots=(Slot(self.now, self.now + timedelta(hours=8)),) * chance.randint(0, 1),
                version=before_it.version + 1,
                updated_at=self.now,
            )
        self.partners[partner.id] = partner
        for text in changed_events(partner, before, ""):
            self._publish(text)

    def _create(self) -> None:
        cash = Amount("INR", 5_000) if self.chance.random() < 0.3 else None
        made = Delivery(
            id=new_id(),
            details=details(drop=Point(12.9, 77.6), weight_g=self.chance.randint(1, 9_000), cash_on_delivery=cash),
            state=DeliveryState.PENDING,
            partner_id=None,
            unassigned_reason="",
            match_after=self.now + timedelta(minutes=self.chance.randint(0, 9)),
            version=1,
            attempts_failed=0,
            state_at=self.now,
            created_at=self.now,
            updated_at=self.now,
        )
        self._rows[made.id] = _Row(made)
        self._publish(created_event(delivery_to(made), made.match_after, self.now, ""))

    def _move(self) -> None:
        row = self.chance.choice(list(self._rows.values()))
        ways = [way for way in TRANSITIONS if way.from_state is row.delivery.state]
        if not ways:
            return
        way = self.chance.choice(ways)
        actor, offer = self.chance.choice(sorted(way.actors)), None
        if way.from_state is DeliveryState.PENDING and actor is Actor.MATCHER:
            automatic = way.to_state is DeliveryState.ASSIGNED
            expires_at = None if automatic else self.now + timedelta(minutes=1)
            rank = float(self.chance.randint(0, 99))
            offer = NewOffer(
                new_id(), self.chance.choice(list(self.partners)), new_id(), 1.0, expires_at, rank, rank + 1
            )
        expired = way.from_state is DeliveryState.OFFERED and actor is Actor.MATCHER
        move = Move(
            row.delivery.id, way.to_state, actor, reason="WHY", new_offer=offer,
            offer_becomes=OfferState.EXPIRED if expired else None, corrects=way.is_correction,
        )  # fmt: skip
        try:
            decision = decide(move, row.delivery, row.live, self.now)
        except ServiceError:
            return
        moved = decision.moved
        row.delivery = moved.delivery
        if decision.ended_offer is not None:
            ended = decision.ended_offer
            row.declined |= {ended.partner_id} if ended.state in REFUSED else set()
            row.live = None
            if ended.state is OfferState.COMPLETED:
                self._completed.setdefault(ended.partner_id, []).append(self.now.timestamp())
        elif moved.offer is not None:
            row.live = moved.offer
            row.ranks = moved.ranks or row.ranks
        self._publish(moved_event(moved, ""))

    def _publish(self, text: str) -> None:
        envelope = json.loads(text)
        if envelope["citycode"] == CITY:
            news = news_of(event_pb2.Event.FromString(base64.b64decode(envelope["data_base64"])))
            assert isinstance(news, OfCity)
            self.events.append(news)


def partner_of(city_code: str, now: datetime = BEGAN, **changes: object) -> Partner:
    """Someone online with room for four parcels."""
    profile = Profile(
        reference="",
        display_name="Asha",
        city_code=city_code,
        vehicle="motorcycle",
        capacity=Capacity(4, 30_000, 100_000, 700),
        home=Point(12.97, 77.59),
        preferred_zones=("tdr1",),
        acceptance="by_offer",
    )
    made = Partner(new_id(), profile, "online", (), Load(), 1, now, now)
    return replace(made, **changes)  # type: ignore[arg-type]  # names are the fields'

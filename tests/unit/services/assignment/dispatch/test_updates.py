"""What networks tell, against the rules of moves as the database applies them, without the database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.grpc_server.errors import ServiceError
from libs.ids import new_id
from services.assignment.deliveries.delivery import Delivery, Details, Point
from services.assignment.deliveries.lifecycle import TERMINAL, Actor, DeliveryState, OfferState
from services.assignment.dispatch.mapping import CallbackMapping
from services.assignment.dispatch.update import WORDS, Answer, Outcome, Standing, is_stale, judged, update_of
from services.assignment.dispatch.updates import move_of
from services.assignment.offers.decision import HOLDING, decide
from services.assignment.offers.offer import Move, NewOffer, Offer

BEGAN = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
S, Ended = DeliveryState, OfferState
TYPES = {word: kind for kind, word in CallbackMapping().types.items()}


def details() -> Details:
    here = Point(12.97, 77.59)
    later = BEGAN + timedelta(hours=4)
    return Details(
        new_id(), "", "BLR", here, here, 300, 200, 150, 1_200, BEGAN, BEGAN, later, None, None, ()
    )  # fmt: skip


class World:
    """One delivery, its offers, and a clock."""

    def __init__(self) -> None:
        self.now = BEGAN
        self.delivery = Delivery(new_id(), details(), S.PENDING, None, "", BEGAN, 1, 0, BEGAN, BEGAN, BEGAN)
        self.offers: dict[UUID, Offer] = {}
        self.network_at: dict[UUID, datetime] = {}
        self.history: list[DeliveryState] = [S.PENDING]

    @property
    def live(self) -> Offer | None:
        held = [offer for offer in self.offers.values() if offer.state in HOLDING]
        assert len(held) <= 1
        return held[0] if held else None

    def move(self, move: Move) -> None:
        decision = decide(move, self.delivery, self.live, self.now)
        self.delivery = decision.moved.delivery
        self.history.append(self.delivery.state)
        if decision.moved.offer is not None:
            self.offers[decision.moved.offer.id] = decision.moved.offer

    def offer(self, ttl_s: int = 60) -> UUID:
        new = NewOffer(new_id(), new_id(), new_id(), 1.0, self.now + timedelta(seconds=ttl_s))
        self.move(Move(self.delivery.id, S.OFFERED, Actor.MATCHER, new_offer=new))
        return new.id

    def end(self, becomes: OfferState) -> None:
        live = self.live
        assert live is not None
        self.move(Move(self.delivery.id, S.PENDING, Actor.MATCHER, reason="X", offer_id=live.id, offer_becomes=becomes))

    def tell(self, word: str, offer_id: UUID, at: datetime | None = None) -> Answer:
        """What NetworkUpdates does, with this world for the database."""
        data = {"offer_id": str(offer_id)} | ({"occurred_at": at.isoformat()} if at else {})
        update = update_of({"type": TYPES[word], "data": data}, CallbackMapping())
        assert update is not None
        if is_stale(update, self.standing(offer_id)):
            return Answer(Outcome.ALREADY)
        try:
            self.move(move_of(update, self.standing(offer_id), self.now))
        except ServiceError as error:
            if error.metadata.get("state") == Ended.EXPIRED.value:
                return Answer(Outcome.REFUSED, "OFFER_ENDED", Ended.EXPIRED.value)
            return judged(update, self.standing(offer_id))
        if at is not None:
            self.network_at[offer_id] = max(at, self.network_at.get(offer_id, at))
        return Answer(Outcome.DONE)

    def standing(self, offer_id: UUID) -> Standing:
        offer, now = self.offers[offer_id], self.delivery
        told_at = self.network_at.get(offer_id)
        return Standing(now.id, offer.partner_id, offer.state, now.state, now.state_at, now.version, told_at)


DAY = ["accept", "picked_up", "out_for_delivery", "attempt_failed", "out_for_delivery", "delivered"]


@given(st.permutations(list(range(len(DAY)))), st.lists(st.sampled_from(range(len(DAY))), max_size=6))
@settings(max_examples=300)
def test_a_network_that_sends_again_brings_its_day_home_in_whatever_order_it_arrives(
    order: list[int], twice: list[int]
) -> None:
    world = World()
    offer_id = world.offer(ttl_s=3_600)
    told = [BEGAN + timedelta(seconds=10 * (place + 1)) for place in range(len(DAY))]
    world.now = BEGAN + timedelta(seconds=100)
    waiting = [*order, *twice]
    while waiting:
        early = [at for at in waiting if world.tell(DAY[at], offer_id, told[at]).outcome is Outcome.TOO_EARLY]
        assert len(early) < len(waiting), f"{[DAY[at] for at in early]} after {world.history}"
        waiting = early
    assert world.delivery.state is S.DELIVERED
    assert world.offers[offer_id].state is Ended.COMPLETED
    # In order, nothing is missing from the history.
    if order == sorted(order):
        assert len(world.history) == 2 + len(DAY)


def test_a_step_counts_however_far_the_networks_clock_is_behind() -> None:
    world = World()
    offer_id = world.offer()
    assert world.tell("accept", offer_id).outcome is Outcome.DONE
    for word in ("picked_up", "out_for_delivery", "delivered"):
        assert world.tell(word, offer_id, BEGAN - timedelta(minutes=5)).outcome is Outcome.DONE
    assert world.delivery.state is S.DELIVERED


def test_a_step_from_a_clock_that_is_ahead_counts_as_now() -> None:
    world = World()
    offer_id = world.offer()
    world.tell("accept", offer_id)
    assert world.tell("picked_up", offer_id, BEGAN + timedelta(hours=1)).outcome is Outcome.DONE
    assert world.delivery.state_at <= BEGAN + timedelta(seconds=30)


class OfferMachine(RuleBasedStateMachine):
    """A matcher, a merchant, and networks that tell anything of any offer at any time, early, late and twice."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.accepted: set[UUID] = set()

    @rule(seconds=st.sampled_from([1, 30, 90]))
    def wait(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.world.delivery.state is S.PENDING)
    @rule()
    def match(self) -> None:
        self.world.offer()

    @precondition(lambda self: self.world.delivery.state is S.OFFERED)
    @rule(becomes=st.sampled_from([Ended.EXPIRED, Ended.WITHDRAWN]))
    def end(self, becomes: OfferState) -> None:
        self.world.end(becomes)

    @precondition(lambda self: self.world.delivery.state in (S.PENDING, S.OFFERED, S.ASSIGNED))
    @rule()
    def cancel(self) -> None:
        self.world.move(Move(self.world.delivery.id, S.CANCELLED, Actor.MERCHANT))

    @precondition(lambda self: self.world.offers)
    @rule(word=st.sampled_from(sorted(WORDS)), data=st.data(), ago_s=st.sampled_from([None, 0, 5, 60]))
    def tell(self, word: str, data: st.DataObject, ago_s: int | None) -> None:
        world = self.world
        offer_id = data.draw(st.sampled_from(sorted(world.offers)))
        at = None if ago_s is None else world.now - timedelta(seconds=ago_s)
        before, live_before = world.delivery, world.live
        answer = world.tell(word, offer_id, at)
        if answer.outcome is not Outcome.DONE:
            assert world.delivery == before
        else:
            # Nothing is done for an offer that was not the live one.
            assert live_before is not None
            assert live_before.id == offer_id
        if word == "accept":
            self.check_accept(answer, offer_id)
        if answer.outcome is not Outcome.TOO_EARLY:
            # The same again is the same: whatever it came to, it changes nothing more.
            settled = world.delivery
            again = world.tell(word, offer_id, at)
            assert again.outcome is not Outcome.DONE
            assert world.delivery == settled

    def check_accept(self, answer: Answer, offer_id: UUID) -> None:
        state = self.world.offers[offer_id].state
        if answer.outcome is Outcome.DONE:
            assert offer_id not in self.accepted
            self.accepted.add(offer_id)
            assert self.world.delivery.state is S.ASSIGNED
        elif answer.outcome is Outcome.ALREADY:
            assert state in (Ended.ACCEPTED, Ended.COMPLETED)
        else:
            assert answer.outcome is Outcome.REFUSED
            assert state not in (Ended.ACCEPTED, Ended.COMPLETED)

    @invariant()
    def a_delivery_hangs_on_one_offer_or_none(self) -> None:
        if not hasattr(self, "world"):
            return
        live, state = self.world.live, self.world.delivery.state
        assert (live is not None) == (state is not S.PENDING and state not in TERMINAL)
        if live is not None:
            assert (live.state is Ended.OPEN) == (state is S.OFFERED)
            assert live.partner_id == self.world.delivery.partner_id

    @invariant()
    def every_step_is_one_of_the_table(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.history) == self.world.delivery.version


OfferMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestOfferMachine = OfferMachine.TestCase


def test_what_is_told_of_an_offer_that_is_over_names_how_it_ended() -> None:
    world = World()
    offer_id = world.offer()
    world.end(Ended.WITHDRAWN)
    assert world.tell("accept", offer_id) == Answer(Outcome.REFUSED, "OFFER_ENDED", "withdrawn")
    assert world.tell("reject", offer_id).outcome is Outcome.ALREADY
    assert world.tell("picked_up", offer_id).outcome is Outcome.REFUSED
    other = world.offer()
    assert world.tell("picked_up", other) == Answer(Outcome.TOO_EARLY, "OFFER_NOT_ACCEPTED", "open")
    assert world.tell("accept", other).outcome is Outcome.DONE
    assert world.tell("accept", offer_id).outcome is Outcome.REFUSED


def test_an_accept_of_an_offer_whose_time_is_over_is_refused_before_anybody_has_ended_it() -> None:
    world = World()
    offer_id = world.offer(ttl_s=10)
    world.now += timedelta(seconds=11)
    assert world.tell("accept", offer_id) == Answer(Outcome.REFUSED, "OFFER_ENDED", "expired")


def test_a_parcel_that_is_with_the_partner_cannot_be_rejected() -> None:
    world = World()
    offer_id = world.offer()
    for word in ("accept", "picked_up"):
        world.tell(word, offer_id)
    assert world.tell("reject", offer_id).reason == "PARCEL_WITH_PARTNER"

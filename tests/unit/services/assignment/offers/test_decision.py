"""What a move does, and how it is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.grpc_server.errors import InvalidArgumentError, ServiceError
from libs.ids import new_id
from services.assignment.deliveries.delivery import Delivery, Point
from services.assignment.deliveries.lifecycle import TERMINAL, Actor, DeliveryState, OfferState, legal_next
from services.assignment.errors import (
    DeliveryNotFoundError,
    IllegalTransitionError,
    OfferEndedError,
    TransitionNotYoursError,
    VersionConflictError,
)
from services.assignment.offers.decision import HOLDING, decide
from services.assignment.offers.offer import Move, NewOffer, Offer
from tests.factories import delivery

NOW = datetime.now(UTC)


def live_offer(of: Delivery, state: OfferState = OfferState.OPEN) -> Offer:
    answered = NOW if state is OfferState.ACCEPTED else None
    return Offer(new_id(), of.id, of.partner_id or new_id(), new_id(), "BLR", state, 90.0, NOW, None, answered)


def test_accepting_an_offer_assigns_the_delivery_and_keeps_the_load() -> None:
    offered = delivery(DeliveryState.OFFERED, new_id())
    offer = live_offer(offered)
    decision = decide(Move(offered.id, DeliveryState.ASSIGNED, Actor.PARTNER, offer_id=offer.id), offered, offer, NOW)
    assert decision.moved.delivery.state is DeliveryState.ASSIGNED
    assert decision.moved.offer is not None
    assert decision.moved.offer.state is OfferState.ACCEPTED
    assert decision.ended_offer is None


def test_an_illegal_move_names_what_is_legal() -> None:
    pending = delivery()
    with pytest.raises(IllegalTransitionError) as refused:
        decide(Move(pending.id, DeliveryState.DELIVERED, Actor.OPS), pending, None, NOW)
    assert refused.value.metadata["legal_next_states"] == "offered,assigned,cancelled"


def test_another_roles_move_is_not_yours() -> None:
    pending = delivery()
    with pytest.raises(TransitionNotYoursError):
        decide(Move(pending.id, DeliveryState.CANCELLED, Actor.PARTNER), pending, None, NOW)


def test_what_was_delivered_is_called_off_by_ops_with_a_reason_alone() -> None:
    done = delivery(DeliveryState.DELIVERED, new_id())
    with pytest.raises(InvalidArgumentError, match="reason"):
        decide(Move(done.id, DeliveryState.CANCELLED, Actor.OPS), done, None, NOW)
    for actor in (Actor.MERCHANT, Actor.PARTNER, Actor.MATCHER):
        with pytest.raises(TransitionNotYoursError):
            decide(Move(done.id, DeliveryState.CANCELLED, actor, reason="PROOF_REJECTED"), done, None, NOW)
    decision = decide(Move(done.id, DeliveryState.CANCELLED, Actor.OPS, reason="PROOF_REJECTED"), done, None, NOW)
    assert (decision.moved.change.partner_id, decision.moved.change.reason) == (done.partner_id, "PROOF_REJECTED")
    assert (decision.ended_offer, decision.made_offer, decision.moved.offer) == (None, None, None)


def corrected(done: Delivery, at: datetime | None, **changes: object) -> Move:
    move = Move(done.id, DeliveryState.DELIVERED, Actor.OPS, occurred_at=at, reason="WRONG_TIME", corrects=True)
    return replace(move, **changes)  # type: ignore[arg-type]  # names are the fields'


def test_a_corrected_proof_is_one_change_more_and_touches_no_offer() -> None:
    done = delivery(DeliveryState.DELIVERED, new_id())
    followed_at, earlier = NOW - timedelta(hours=3), NOW - timedelta(hours=2)
    made = decide(corrected(done, earlier, location=Point(12.9, 77.5), note="read wrong"), done, None, NOW, followed_at)
    change = made.moved.change
    assert (change.from_state, change.to_state) == (DeliveryState.DELIVERED, DeliveryState.DELIVERED)
    assert (change.occurred_at, change.recorded_at, change.partner_id) == (earlier, NOW, done.partner_id)
    assert (change.reason, change.note, change.location) == ("WRONG_TIME", "read wrong", Point(12.9, 77.5))
    assert (made.ended_offer, made.made_offer, made.moved.offer) == (None, None, None)
    after = made.moved.delivery
    assert after == replace(done, version=done.version + 1, state_at=earlier, updated_at=NOW)
    # The next one is measured by what the hand-over followed, and not by this one.
    again = decide(corrected(after, followed_at), after, None, NOW, followed_at)
    assert again.moved.change.sequence == done.version + 2


def test_a_hand_over_is_neither_before_what_it_followed_nor_in_the_future() -> None:
    done = delivery(DeliveryState.DELIVERED, new_id())
    followed_at = NOW - timedelta(hours=3)
    for off, rule in ((timedelta(hours=-4), "delivered_at.order"), (timedelta(hours=1), "delivered_at.past")):
        with pytest.raises(InvalidArgumentError) as refused:
            decide(corrected(done, NOW + off), done, None, NOW, followed_at)
        assert [(v.field, v.rule) for v in refused.value.violations] == [("delivered_at", rule)]


@pytest.mark.parametrize("state", [state for state in DeliveryState if state is not DeliveryState.DELIVERED])
def test_there_is_no_proof_to_correct_of_what_is_not_delivered(state: DeliveryState) -> None:
    other = delivery(state, new_id())
    with pytest.raises(IllegalTransitionError) as refused:
        decide(corrected(other, NOW), other, None, NOW, NOW)
    assert refused.value.metadata == {"state": state, "legal_next_states": ",".join(legal_next(state))}


def test_another_partners_delivery_is_not_found() -> None:
    assigned = delivery(DeliveryState.ASSIGNED, new_id())
    move = Move(assigned.id, DeliveryState.PICKED_UP, Actor.PARTNER, only_partner_id=new_id())
    with pytest.raises(DeliveryNotFoundError):
        decide(move, assigned, live_offer(assigned, OfferState.ACCEPTED), NOW)


def test_an_offer_that_is_not_the_live_one_has_ended() -> None:
    offered = delivery(DeliveryState.OFFERED, new_id())
    with pytest.raises(OfferEndedError):
        decide(
            Move(offered.id, DeliveryState.ASSIGNED, Actor.PARTNER, offer_id=new_id()),
            offered,
            live_offer(offered),
            NOW,
        )


@pytest.mark.parametrize("actor", [Actor.PARTNER, Actor.OPS])
def test_an_offer_whose_time_is_over_cannot_be_accepted_but_rejected_and_expired(actor: Actor) -> None:
    offered = delivery(DeliveryState.OFFERED, new_id())
    late = replace(live_offer(offered), expires_at=NOW)
    move = Move(offered.id, DeliveryState.ASSIGNED, actor, offer_id=late.id)
    with pytest.raises(OfferEndedError) as refused:
        decide(move, offered, late, NOW)
    assert refused.value.metadata == {"delivery_id": str(offered.id), "state": "expired"}
    assert decide(move, offered, late, NOW - timedelta(microseconds=1)).moved.delivery.state is DeliveryState.ASSIGNED
    back = Move(offered.id, DeliveryState.PENDING, actor, offer_id=late.id, reason="TOO_FAR")
    assert decide(back, offered, late, NOW).ended_offer is not None


def test_a_delivery_that_changed_since_it_was_read_is_refused() -> None:
    changed = replace(delivery(), version=5)
    with pytest.raises(VersionConflictError):
        decide(Move(changed.id, DeliveryState.CANCELLED, Actor.OPS, expected_version=4), changed, None, NOW)


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(days=-1)])
def test_a_time_in_the_future_or_before_the_last_change_is_refused(off: timedelta) -> None:
    assigned = delivery(DeliveryState.ASSIGNED, new_id())
    move = Move(assigned.id, DeliveryState.PICKED_UP, Actor.OPS, occurred_at=datetime.now(UTC) + off)
    with pytest.raises(InvalidArgumentError) as refused:
        decide(move, assigned, live_offer(assigned, OfferState.ACCEPTED), datetime.now(UTC))
    assert refused.value.violations[0].field == "occurred_at"


@given(st.lists(st.tuples(st.sampled_from(DeliveryState), st.sampled_from(Actor)), max_size=40))
def test_any_sequence_of_moves_keeps_version_history_and_load_consistent(
    steps: list[tuple[DeliveryState, Actor]],
) -> None:
    current, live, held = delivery(), None, 0
    version = current.version
    for to_state, actor in steps:
        matched = to_state in (DeliveryState.OFFERED, DeliveryState.ASSIGNED) and current.state is DeliveryState.PENDING
        new_offer = NewOffer(new_id(), UUID(int=1), new_id(), 1.0, None) if matched else None
        try:
            decision = decide(
                Move(current.id, to_state, actor, reason="BECAUSE", new_offer=new_offer), current, live, NOW
            )
        except ServiceError:
            continue
        held += (decision.made_offer is not None) - (decision.ended_offer is not None)
        current = decision.moved.delivery
        version += 1
        assert decision.moved.change.sequence == current.version == version
        offer = decision.moved.offer
        live = offer if offer is not None and offer.state in HOLDING else None
        assert held == (live is not None) == (current.state not in TERMINAL | {DeliveryState.PENDING})
        assert current.partner_id is not None or current.state in (DeliveryState.PENDING, DeliveryState.CANCELLED)


@pytest.mark.parametrize("becomes", [OfferState.EXPIRED, OfferState.WITHDRAWN])
@pytest.mark.parametrize("minutes", [-1, 1])
def test_the_matcher_ends_no_offer_that_was_accepted_a_moment_ago(becomes: OfferState, minutes: int) -> None:
    assigned = delivery(DeliveryState.ASSIGNED, new_id())
    accepted = replace(live_offer(assigned, OfferState.ACCEPTED), expires_at=NOW + timedelta(minutes=minutes))
    move = Move(
        assigned.id, DeliveryState.PENDING, Actor.MATCHER, reason="as it saw it", offer_id=accepted.id,
        offer_becomes=becomes,
    )  # fmt: skip
    with pytest.raises(OfferEndedError) as refused:
        decide(move, assigned, accepted, NOW)
    assert refused.value.metadata["state"] == "accepted"


def test_the_matcher_takes_back_an_assignment_that_needed_no_answer_and_never_calls_it_expired() -> None:
    assigned = delivery(DeliveryState.ASSIGNED, new_id())
    automatic = live_offer(assigned, OfferState.ACCEPTED)
    move = Move(
        assigned.id, DeliveryState.PENDING, Actor.MATCHER, reason="NETWORK_DOWN", offer_id=automatic.id,
        offer_becomes=OfferState.WITHDRAWN,
    )  # fmt: skip
    assert decide(move, assigned, automatic, NOW).moved.delivery.state is DeliveryState.PENDING
    with pytest.raises(OfferEndedError):
        decide(replace(move, offer_becomes=OfferState.EXPIRED), assigned, automatic, NOW)

"""Decides a move: pure, from the delivery and its live offer as they are locked now."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.assignment.deliveries.delivery import Change, Delivery
from services.assignment.deliveries.lifecycle import (
    Actor,
    DeliveryState,
    IllegalTransitionError,
    NotYourTransitionError,
    OfferState,
    check_transition,
)
from services.assignment.errors import (
    DeliveryNotFoundError,
    OfferEndedError,
    TransitionNotYoursError,
    VersionConflictError,
)
from services.assignment.errors import IllegalTransitionError as IllegalTransitionRefused
from services.assignment.offers.offer import Move, Moved, Offer

CLOCK_SKEW_MAX = timedelta(seconds=60)
# These states of an offer hold its partner's capacity.
HOLDING = frozenset({OfferState.OPEN, OfferState.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Decision:
    """What a legal move does. `ended_offer` gives its partner's capacity back; `made_offer` takes it."""

    moved: Moved
    move: Move
    ended_offer: Offer | None
    made_offer: Offer | None


def decide(
    move: Move, delivery: Delivery | None, live: Offer | None, now: datetime, followed_at: datetime | None = None
) -> Decision:
    """Return what the move does; raise the ServiceError that refuses it.

    followed_at: of a correction, when the change happened that the hand-over followed.
    """
    if delivery is None or (move.only_partner_id is not None and delivery.partner_id != move.only_partner_id):
        raise DeliveryNotFoundError(f"no delivery that you may see has the id {move.delivery_id}")
    if move.expected_version is not None and delivery.version != move.expected_version:
        raise VersionConflictError(f"delivery {delivery.id} has version {delivery.version} by now")
    if move.offer_id is not None and (live is None or live.id != move.offer_id):
        raise OfferEndedError(f"offer {move.offer_id} has ended", metadata={"delivery_id": str(delivery.id)})
    if move.actor is Actor.MATCHER and live is not None and live.id == move.offer_id and not _is_unanswered(move, live):
        # What was answered a moment ago stays answered, whatever the matcher saw of it.
        metadata = {"delivery_id": str(delivery.id), "state": live.state.value}
        raise OfferEndedError(f"offer {live.id} is {live.state}", metadata=metadata)
    try:
        row = check_transition(delivery.state, move.to_state, move.actor, corrects=move.corrects)
    except IllegalTransitionError as error:
        metadata = {"state": error.from_state.value, "legal_next_states": ",".join(error.legal)}
        raise IllegalTransitionRefused(str(error), metadata=metadata) from None
    except NotYourTransitionError as error:
        raise TransitionNotYoursError(str(error), metadata={"roles": ",".join(error.actors)}) from None
    expires_at = live.expires_at if live is not None and row.offer_becomes is OfferState.ACCEPTED else None
    if expires_at is not None and expires_at <= now:
        # Its time is over, even while no matcher has come round to ending it.
        raise OfferEndedError(
            f"the offer expired at {expires_at.isoformat()}",
            metadata={"delivery_id": str(delivery.id), "state": OfferState.EXPIRED.value},
        )
    if row.needs_reason and not move.reason:
        violation = FieldViolation("reason", f"is required when a delivery becomes {row.to_state}", "reason.required")
        raise InvalidArgumentError.of(violation)
    occurred_at = _occurred_at(move, followed_at if move.corrects else delivery.state_at, now)
    made = _made_offer(move, delivery, now)
    concerned = _concerned_offer(live, move.offer_becomes or row.offer_becomes, now) or made
    after = _after(move, delivery, made, occurred_at, now)
    change = Change(
        sequence=after.version,
        from_state=delivery.state,
        to_state=move.to_state,
        actor=move.actor,
        partner_id=made.partner_id if made else delivery.partner_id,
        occurred_at=occurred_at,
        recorded_at=now,
        location=move.location,
        reason=move.reason,
        note=move.note,
    )
    ended = concerned if concerned is not None and concerned.state not in HOLDING else None
    return Decision(Moved(after, change, concerned, _ranks(move)), move, ended, made)


def _is_unanswered(move: Move, live: Offer) -> bool:
    """Whether the matcher may end an offer: an open one, and one that needed no answer, to take it back."""
    needed_none = live.state is OfferState.ACCEPTED and live.expires_at is None
    return live.state is OfferState.OPEN or (needed_none and move.offer_becomes is OfferState.WITHDRAWN)


def _occurred_at(move: Move, followed_at: datetime | None, now: datetime) -> datetime:
    if move.occurred_at is None:
        return now
    field, before = "occurred_at", "the last change"
    if move.corrects:
        field, before = "delivered_at", "the change that the hand-over followed"
    if move.occurred_at > now + CLOCK_SKEW_MAX:
        raise InvalidArgumentError.of(FieldViolation(field, "lies in the future", f"{field}.past"))
    if followed_at is not None and move.occurred_at < followed_at:
        said = f"lies before {before}, at {followed_at.isoformat()}"
        raise InvalidArgumentError.of(FieldViolation(field, said, f"{field}.order"))
    return move.occurred_at


def _made_offer(move: Move, delivery: Delivery, now: datetime) -> Offer | None:
    new = move.new_offer
    if new is None:
        return None
    accepted = move.to_state is DeliveryState.ASSIGNED
    return Offer(
        id=new.id,
        delivery_id=delivery.id,
        partner_id=new.partner_id,
        window_id=new.window_id,
        city_code=delivery.details.city_code,
        state=OfferState.ACCEPTED if accepted else OfferState.OPEN,
        cost_s=new.cost_s,
        offered_at=now,
        expires_at=new.expires_at,
        answered_at=now if accepted else None,
    )


def _ranks(move: Move) -> tuple[float, float] | None:
    new = move.new_offer
    return None if new is None or new.pickup_rank is None or new.drop_rank is None else (new.pickup_rank, new.drop_rank)


def _concerned_offer(live: Offer | None, becomes: OfferState | None, now: datetime) -> Offer | None:
    if live is None or becomes is None:
        return live
    return replace(live, state=becomes, answered_at=live.answered_at or now)


def _after(move: Move, delivery: Delivery, made: Offer | None, occurred_at: datetime, now: datetime) -> Delivery:
    pending = move.to_state is DeliveryState.PENDING
    partner_id: UUID | None = made.partner_id if made else delivery.partner_id
    return replace(
        delivery,
        state=move.to_state,
        partner_id=None if pending else partner_id,
        unassigned_reason=move.reason if pending else "",
        match_after=now if pending else delivery.match_after,
        version=delivery.version + 1,
        attempts_failed=delivery.attempts_failed + (move.to_state is DeliveryState.ATTEMPT_FAILED),
        state_at=occurred_at,
        updated_at=now,
    )

"""Updates of a network that come at the same moment."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.dispatch import store
from services.assignment.dispatch.mapping import CallbackMapping
from services.assignment.dispatch.update import Answer, NetworkUpdate, Outcome, update_of
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.offers.offer import Move
from tests.lending import Lending, Lent


def rejection(offer_id: UUID, at: datetime) -> NetworkUpdate:
    """A network's no."""
    data = {"offer_id": str(offer_id), "occurred_at": at.isoformat()}
    update = update_of({"type": "offer.rejected", "data": data}, CallbackMapping())
    assert update is not None
    return update


async def test_a_rejection_that_an_accept_overtook_is_to_be_sent_again(
    lending: Lending, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, rejected_at = await lending.offer(), datetime.now(UTC)
    updates = NetworkUpdates(lending.primary, lending.writer)
    look = store.standing

    async def look_and_be_overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        found = await look(*arguments)
        await accept(lending, lent)
        return found

    monkeypatch.setattr(store, "standing", look_and_be_overtaken)
    update = rejection(lent.offer_id, rejected_at)
    assert await updates.apply(lending.code, update) == Answer(Outcome.TOO_EARLY, "ANOTHER_UPDATE")
    assert (await updates.apply(lending.code, update)).outcome is Outcome.DONE
    assert (await lending.delivery(lent))["state"] == "pending"


async def accept(lending: Lending, lent: Lent) -> None:
    """Accept an offer, as its partner does."""
    await lending.move(Move(lent.delivery_id, DeliveryState.ASSIGNED, Actor.PARTNER, offer_id=lent.offer_id))


async def test_a_network_is_not_told_of_a_corrected_proof_and_its_own_word_changes_nothing_more(
    lending: Lending,
) -> None:
    lent = await lending.offer(is_automatic=True)
    for state in (DeliveryState.PICKED_UP, DeliveryState.OUT_FOR_DELIVERY, DeliveryState.DELIVERED):
        await lending.move(Move(lent.delivery_id, state, Actor.PARTNER))
    await lending.hear()
    known, states = await lending.network_offer(lent), await lending.history(lent)
    proof = Move(lent.delivery_id, DeliveryState.DELIVERED, Actor.OPS, reason="WRONG_TIME", corrects=True)
    await lending.move(proof)
    await lending.hear()
    assert await lending.network_offer(lent) == known
    update = update_of({"type": "delivery.delivered", "data": {"offer_id": str(lent.offer_id)}}, CallbackMapping())
    assert update is not None
    answer = await NetworkUpdates(lending.primary, lending.writer).apply(lending.code, update)
    assert answer.outcome is Outcome.ALREADY
    assert await lending.history(lent) == [*states, "delivered"]

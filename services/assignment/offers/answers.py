"""Answers to offers, and their list: the part of AssignmentService that partners use."""

from uuid import UUID

import asyncpg
from lastmile.assignment.v1 import assignment_pb2

from libs.grpc_server import paging
from libs.grpc_server.call import Call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.identity import Role
from services.assignment.database import Database
from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState
from services.assignment.deliveries.writer import DeliveryWriter, StateMove, Written, finish
from services.assignment.errors import IllegalTransitionError, OfferEndedError, OfferNotFoundError
from services.assignment.idempotency.command import command_of
from services.assignment.offers import queries
from services.assignment.offers.codec import OFFER_STATES_BY_NUMBER, offer_to
from services.assignment.offers.decision import HOLDING
from services.assignment.offers.offer import Move, Moved, Offer


class OfferAnswers:
    """Accepts, rejects and lists offers."""

    def __init__(self, database: Database, writer: DeliveryWriter) -> None:
        self._database = database
        self._writer = writer

    async def accept(
        self, request: assignment_pb2.AcceptOfferRequest, call: Call
    ) -> assignment_pb2.AcceptOfferResponse:
        """Take an offered delivery on; accepting again answers the same."""
        offer = await self._find(request.offer_id, call)
        if offer.state is OfferState.ACCEPTED:
            return await self._accepted_before(request, call, offer)

        def respond(moved: Moved) -> bytes:
            return assignment_pb2.AcceptOfferResponse(offer=_offer_of(moved)).SerializeToString()

        move = self._move(offer, call, DeliveryState.ASSIGNED, "")
        try:
            written = await self._answer(StateMove(move, respond, command_of(call, request), None), call)
        except IllegalTransitionError:
            # Another accept of the same offer was faster by a moment: the answer is the same.
            offer = await self._find(request.offer_id, call)
            if offer.state is not OfferState.ACCEPTED:
                raise
            return await self._accepted_before(request, call, offer)
        return assignment_pb2.AcceptOfferResponse.FromString(finish(call, written))

    async def reject(
        self, request: assignment_pb2.RejectOfferRequest, call: Call
    ) -> assignment_pb2.RejectOfferResponse:
        """Decline an offered delivery, or hand an accepted one back before its pickup."""
        offer = await self._find(request.offer_id, call)

        def respond(moved: Moved) -> bytes:
            return assignment_pb2.RejectOfferResponse(offer=_offer_of(moved)).SerializeToString()

        move = self._move(offer, call, DeliveryState.PENDING, request.reason or "OFFER_REJECTED")
        written = await self._answer(StateMove(move, respond, command_of(call, request), None), call)
        return assignment_pb2.RejectOfferResponse.FromString(finish(call, written))

    async def search(self, request: assignment_pb2.ListOffersRequest, call: Call) -> assignment_pb2.ListOffersResponse:
        """List offers, newest first."""
        own = call.principal.partner_id
        if own is not None and request.partner_id not in ("", own):
            raise InvalidArgumentError.of(FieldViolation("partner_id", "is not you; leave it empty", "partner_id.own"))
        filters: dict[str, object] = {}
        if partner_id := own or request.partner_id:
            filters["partner_id"] = UUID(partner_id)
        if request.delivery_id:
            filters["delivery_id"] = UUID(request.delivery_id)
        if request.city_code:
            filters["city_code"] = request.city_code
        if request.states:
            filters["states"] = [OFFER_STATES_BY_NUMBER[number].value for number in request.states]
        size = paging.page_size(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await queries.search(
                connection, before_id=paging.decode_id(request), rows_max=size + 1, filters=filters
            )
        page = found[:size]
        token = paging.encode(request, str(page[-1].id)) if len(found) > size else ""
        return assignment_pb2.ListOffersResponse(offers=map(offer_to, page), next_page_token=token)

    async def _accepted_before(
        self, request: assignment_pb2.AcceptOfferRequest, call: Call, offer: Offer
    ) -> assignment_pb2.AcceptOfferResponse:
        """Answer an accept that changes nothing; its idempotency key counts as any other."""

        async def effect(_: asyncpg.Connection) -> bytes:
            return assignment_pb2.AcceptOfferResponse(offer=offer_to(offer)).SerializeToString()

        return assignment_pb2.AcceptOfferResponse.FromString(await self._database.run_command(call, request, effect))

    async def _answer(self, move: StateMove, call: Call) -> Written:
        """Make the move; the refusal of one whose offer has ended says how it ended."""
        try:
            return await self._writer.move(call.principal, move)
        except OfferEndedError as error:
            offer = await self._find(str(move.move.offer_id), call)
            if offer.state in HOLDING:
                raise
            said = f"offer {offer.id} is {offer.state} by now"
            raise OfferEndedError(said, metadata=error.metadata | {"state": offer.state.value}) from None

    async def _find(self, offer_id: str, call: Call) -> Offer:
        """Find whose delivery the offer is of; the move re-checks everything under the delivery's lock."""
        async with self._database.command(call.principal) as connection:
            offer = await queries.get(connection, UUID(offer_id))
        partner_id = call.principal.partner_id
        if offer is None or (partner_id is not None and str(offer.partner_id) != partner_id):
            raise OfferNotFoundError(f"no offer that you may see has the id {offer_id}")
        return offer

    def _move(self, offer: Offer, call: Call, to_state: DeliveryState, reason: str) -> Move:
        actor = Actor.PARTNER if call.principal.role is Role.PARTNER else Actor.OPS
        return Move(
            delivery_id=offer.delivery_id,
            to_state=to_state,
            actor=actor,
            reason=reason,
            offer_id=offer.id,
            traceparent=call.traceparent,
        )


def _offer_of(moved: Moved) -> assignment_pb2.Offer | None:
    return offer_to(moved.offer) if moved.offer else None

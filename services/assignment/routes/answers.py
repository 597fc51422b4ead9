"""A partner's route for its callers: the part of AssignmentService that shows what is left to do."""

from uuid import UUID

from lastmile.assignment.v1 import assignment_pb2, delivery_pb2

from libs.grpc_server.call import Call
from services.assignment.database import Database
from services.assignment.deliveries.codec import point_to
from services.assignment.errors import PartnerNotFoundError
from services.assignment.events import timestamp
from services.assignment.partners import store as partners_store
from services.assignment.routes import store
from services.assignment.routes.route import Stop, StopKind, stops_of

_KINDS = {kind: assignment_pb2.StopKind.Value(f"STOP_KIND_{kind.name}") for kind in StopKind}


class RouteAnswers:
    """Shows routes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(
        self, request: assignment_pb2.GetPartnerRouteRequest, call: Call
    ) -> assignment_pb2.GetPartnerRouteResponse:
        """Return what a partner still has to do, in the order of the visits."""
        partner_id, own = UUID(request.partner_id), call.principal.partner_id
        async with self._database.query(call.principal, call.consistency_token) as connection:
            hidden = own is not None and UUID(own) != partner_id
            if hidden or await partners_store.get(connection, partner_id) is None:
                raise PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")
            held = await store.read_held(connection, [partner_id])
        return assignment_pb2.GetPartnerRouteResponse(stops=map(_stop_to, stops_of(held)))


def _stop_to(stop: Stop) -> assignment_pb2.RouteStop:
    return assignment_pb2.RouteStop(
        delivery_id=str(stop.held.delivery_id),
        offer_id=str(stop.held.offer_id),
        kind=_KINDS[stop.kind],
        location=point_to(stop.place),
        state=delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{stop.held.state.name}"),
        ready_at=timestamp(stop.ready_at) if stop.ready_at else None,
        due_at=timestamp(stop.due_at) if stop.due_at else None,
    )

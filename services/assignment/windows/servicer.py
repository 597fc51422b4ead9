"""AssignmentService: translates between the calls and offers, explanations, windows and matching on demand."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.assignment.v1 import assignment_pb2, assignment_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from services.assignment.cities.codec import fault_to
from services.assignment.database import Database
from services.assignment.errors import DeliveryNotFoundError, NotMatchedYetError
from services.assignment.events import timestamp
from services.assignment.offers.answers import OfferAnswers
from services.assignment.routes.answers import RouteAnswers
from services.assignment.windows import store
from services.assignment.windows.codec import explanation_to, stored_explanation_to
from services.assignment.windows.on_demand import OnDemandMatcher
from services.assignment.windows.store import WindowRow


class AssignmentServicer(assignment_pb2_grpc.AssignmentServiceServicer):
    """Answers AssignmentService."""

    def __init__(self, database: Database, answers: OfferAnswers, on_demand: OnDemandMatcher) -> None:
        self._database = database
        self._answers = answers
        self._on_demand = on_demand
        self._routes = RouteAnswers(database)

    async def AcceptOffer(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.AcceptOfferRequest, context: Any
    ) -> assignment_pb2.AcceptOfferResponse:
        """Take an offered delivery on."""
        return await self._answers.accept(request, current_call())

    async def RejectOffer(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.RejectOfferRequest, context: Any
    ) -> assignment_pb2.RejectOfferResponse:
        """Decline an offered delivery."""
        return await self._answers.reject(request, current_call())

    async def ListOffers(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.ListOffersRequest, context: Any
    ) -> assignment_pb2.ListOffersResponse:
        """List offers, newest first."""
        return await self._answers.search(request, current_call())

    async def ExplainDelivery(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.ExplainDeliveryRequest, context: Any
    ) -> assignment_pb2.ExplainDeliveryResponse:
        """Say why a delivery was matched as it was."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            row = await store.get_explanation(connection, UUID(request.delivery_id))
        if row is None:
            raise DeliveryNotFoundError(f"no delivery that you may see has the id {request.delivery_id}")
        if row["window_id"] is None:
            raise NotMatchedYetError(f"delivery {request.delivery_id} has been in no window yet")
        return assignment_pb2.ExplainDeliveryResponse(explanation=stored_explanation_to(row))

    async def GetPartnerRoute(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.GetPartnerRouteRequest, context: Any
    ) -> assignment_pb2.GetPartnerRouteResponse:
        """Return what a partner still has to do."""
        return await self._routes.get(request, current_call())

    async def ListWindows(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.ListWindowsRequest, context: Any
    ) -> assignment_pb2.ListWindowsResponse:
        """List windows, newest first."""
        call, size = current_call(), paging.page_size(request)
        before_id = paging.decode_id(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.list_windows(connection, before_id, request.city_code, size + 1)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return assignment_pb2.ListWindowsResponse(windows=map(_window_to, found[:size]), next_page_token=token)

    async def Match(  # noqa: N802 - named by the proto
        self, request: assignment_pb2.MatchRequest, context: Any
    ) -> assignment_pb2.MatchResponse:
        """Match the caller's packages to the caller's partners."""
        result, explanations, remedies = await self._on_demand.match(request, datetime.now(UTC))
        explained = enumerate(zip(request.packages, explanations, strict=True))
        return assignment_pb2.MatchResponse(
            results=[
                explanation_to(p.id, explanation, request, remedies.get(row)) for row, (p, explanation) in explained
            ],
            assigned=int((result.partner >= 0).sum()),
            cost_s=result.total_cost_s,
            build_ms=result.build_ms,
            solve_ms=result.solve_ms,
            rule_faults=[fault_to(fault.row()) for fault in result.book.faults],
        )


def _window_to(row: WindowRow) -> assignment_pb2.Window:
    return assignment_pb2.Window(
        id=str(row.id),
        city_code=row.city_code,
        closed_at=timestamp(row.closed_at),
        deliveries=row.deliveries,
        partners=row.partners,
        feasible_pairs=row.feasible_pairs,
        assigned=row.assigned,
        conflicts=row.conflicts,
        cost_s=row.cost_s,
        build_ms=row.build_ms,
        solve_ms=row.solve_ms,
        commit_ms=row.commit_ms,
        rule_faults=map(fault_to, json.loads(row.rule_faults)),
        bundles=row.bundles,
    )

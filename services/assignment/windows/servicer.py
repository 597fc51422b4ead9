"""AssignmentService: translates between the calls and offers, explanations, windows and matching on demand."""

import json
from collections.abc import Mapping
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
from services.assignment.matching.explain import Explanation, PartnerCost
from services.assignment.offers.answers import OfferAnswers
from services.assignment.windows import store
from services.assignment.windows.on_demand import OnDemandMatcher
from services.assignment.windows.store import WindowRow


class AssignmentServicer(assignment_pb2_grpc.AssignmentServiceServicer):
    """Answers AssignmentService."""

    def __init__(self, database: Database, answers: OfferAnswers, on_demand: OnDemandMatcher) -> None:
        self._database = database
        self._answers = answers
        self._on_demand = on_demand

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
        explanation = assignment_pb2.Explanation(
            package_id=request.delivery_id,
            window_id=str(row["window_id"]),
            outcome=row["outcome"],
            chosen=_stored_cost(json.loads(row["chosen"])) if row["chosen"] else None,
            alternatives=[_stored_cost(cost) for cost in json.loads(row["alternatives"])],
            partners_lost=json.loads(row["partners_lost"]),
            partners_feasible=row["partners_feasible"],
            matched_at=timestamp(row["matched_at"]),
        )
        return assignment_pb2.ExplainDeliveryResponse(explanation=explanation)

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
        result, explanations = await self._on_demand.match(request, datetime.now(UTC))
        explained = zip(request.packages, explanations, strict=True)
        return assignment_pb2.MatchResponse(
            results=[_explanation_to(package.id, explanation, request) for package, explanation in explained],
            assigned=int((result.partner >= 0).sum()),
            cost_s=result.total_cost_s,
            build_ms=result.build_ms,
            solve_ms=result.solve_ms,
            rule_faults=[fault_to(fault.row()) for fault in result.book.faults],
        )


def _stored_cost(stored: Mapping[str, Any]) -> assignment_pb2.PartnerCost:
    return assignment_pb2.PartnerCost(**stored)


def _explanation_to(
    package_id: str, explanation: Explanation, request: assignment_pb2.MatchRequest
) -> assignment_pb2.Explanation:
    def cost_to(cost: PartnerCost) -> assignment_pb2.PartnerCost:
        return assignment_pb2.PartnerCost(
            partner_id=request.partners[cost.partner].id,
            cost_s=cost.cost_s,
            terms_s=cost.terms_s,
            pickup_distance_m=cost.pickup_distance_m,
        )

    return assignment_pb2.Explanation(
        package_id=package_id,
        outcome=explanation.outcome,
        chosen=cost_to(explanation.chosen) if explanation.chosen else None,
        alternatives=map(cost_to, explanation.alternatives),
        partners_lost=explanation.partners_lost,
        partners_feasible=explanation.partners_feasible,
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
    )

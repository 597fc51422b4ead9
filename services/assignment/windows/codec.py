"""Explanations between protobuf, the database's JSON and the matching core."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import asyncpg
from lastmile.assignment.v1 import assignment_pb2
from lastmile.common.v1 import parcel_pb2

from services.assignment.events import timestamp
from services.assignment.matching.changes import Kind
from services.assignment.matching.counterfactual import Remedies
from services.assignment.matching.explain import Explanation, PartnerCost
from services.assignment.matching.travel import VEHICLES

_KINDS = {kind: assignment_pb2.RemedyKind.Value(f"REMEDY_KIND_{kind.name}") for kind in Kind}
_VEHICLES = [parcel_pb2.Vehicle.Value(f"VEHICLE_{name.upper()}") for name in VEHICLES]


def stored_explanation_to(row: asyncpg.Record) -> assignment_pb2.Explanation:
    """Return a delivery's explanation as its callers see it."""
    return assignment_pb2.Explanation(
        package_id=str(row["delivery_id"]),
        window_id=str(row["window_id"]),
        outcome=row["outcome"],
        chosen=_stored_cost(json.loads(row["chosen"])) if row["chosen"] else None,
        alternatives=[_stored_cost(cost) for cost in json.loads(row["alternatives"])],
        partners_lost=json.loads(row["partners_lost"]),
        partners_feasible=row["partners_feasible"],
        matched_at=timestamp(row["matched_at"]),
        remedies=[_remedy_to(remedy) for remedy in json.loads(row["remedies"])],
        remedies_tried=[_KINDS[Kind(kind)] for kind in row["remedies_tried"]],
    )


def explanation_to(
    package_id: str,
    explanation: Explanation,
    request: assignment_pb2.MatchRequest,
    remedies: Remedies | None,
) -> assignment_pb2.Explanation:
    """Return a package's explanation as the caller of Match sees it."""

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
        remedies=[_remedy_to(asdict(remedy)) for remedy in remedies.found] if remedies else (),
        remedies_tried=[_KINDS[kind] for kind in remedies.tried] if remedies else (),
    )


def _stored_cost(stored: Mapping[str, Any]) -> assignment_pb2.PartnerCost:
    return assignment_pb2.PartnerCost(**stored)


def _remedy_to(remedy: Mapping[str, Any]) -> assignment_pb2.Remedy:
    given = {name: remedy[name] for name in ("amount", "unit", "text", "size")}
    vehicles = [number for bit, number in enumerate(_VEHICLES) if remedy["vehicles"] >> bit & 1]
    return assignment_pb2.Remedy(kind=_KINDS[Kind(remedy["kind"])], vehicles=vehicles, **given)

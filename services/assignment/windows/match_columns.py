"""What a match on demand says of packages and partners beyond places and sizes, as columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from lastmile.assignment.v1 import assignment_pb2
from lastmile.common.v1 import money_pb2

from libs.grpc_server.errors import FieldViolation
from services.assignment.deliveries.delivery import RUPEES
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import NO_DUE_S, UNLIMITED, UNRATED
from services.assignment.matching.routes import Routes
from services.assignment.timestamps import from_timestamp

Violations = list[FieldViolation]
Columns = dict[str, Ints | Floats | Routes]


def merchants_of(request: assignment_pb2.MatchRequest) -> Mapping[str, int]:
    """Return a number for each merchant of the packages."""
    return {merchant: number for number, merchant in enumerate({package.merchant_id for package in request.packages})}


def package_columns(request: assignment_pb2.MatchRequest, now_s: float, violations: Violations) -> Columns:
    """Return the packages' values, merchants, waiting and refusals; what is wrong goes to `violations`."""
    rows, merchant_of = request.packages, merchants_of(request)
    partner_of = {partner.id: place for place, partner in enumerate(request.partners)}
    placed_at_s, declined = np.full(len(rows), now_s), []
    for place, row in enumerate(rows):
        if row.HasField("placed_at"):
            at = from_timestamp(row.placed_at, f"packages[{place}].placed_at", violations)
            placed_at_s[place] = max(0.0, at.timestamp()) if at else now_s
        for number, partner_id in enumerate(row.declined_partner_ids):
            if partner_id in partner_of:
                declined.append((place, partner_of[partner_id]))
            else:
                field = f"packages[{place}].declined_partner_ids[{number}]"
                violations.append(FieldViolation(field, f"{partner_id!r} names no partner", "partner.known"))
    return {
        "placed_at_s": placed_at_s,
        "declared_value_paise": _paise(rows, "packages", "declared_value", 0, violations),
        "cash_on_delivery_paise": _paise(rows, "packages", "cash_on_delivery", 0, violations),
        "merchant": np.array([merchant_of[row.merchant_id] for row in rows], dtype=np.int64),
        "declined": np.array(declined, dtype=np.int64).reshape(-1, 2),
    }


def partner_columns(request: assignment_pb2.MatchRequest, violations: Violations) -> Columns:
    """Return the partners' ratings, cash, earnings, networks, merchants and routes; what is wrong to `violations`."""
    rows, merchant_of = request.partners, merchants_of(request)

    def optional(name: Literal["rating", "network_health"], absent: float) -> Floats:
        values: list[float] = [getattr(row, name) if row.HasField(name) else absent for row in rows]
        return np.array(values, dtype=np.float64)

    def pairs(name: str) -> Ints:
        found = [
            (place, merchant_of[merchant])
            for place, row in enumerate(rows)
            for merchant in getattr(row, name)
            if merchant in merchant_of
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    return {
        "rating": optional("rating", UNRATED),
        "network_health": optional("network_health", 1.0),
        "cash_paise_left": _paise(rows, "partners", "cash_left", UNLIMITED, violations),
        "earned_paise_per_h": _paise(rows, "partners", "earned_per_hour", 0, violations),
        "merchants_denied": pairs("denied_by_merchant_ids"),
        "merchants_allowed": pairs("allowed_by_merchant_ids"),
        "routes": _routes(request, violations),
    }


def _routes(request: assignment_pb2.MatchRequest, violations: Violations) -> Routes:
    stops = [
        (stop, f"partners[{place}].route[{number}]")
        for place, row in enumerate(request.partners)
        for number, stop in enumerate(row.route)
    ]

    def times(name: Literal["ready_at", "due_at"], absent_s: float) -> Floats:
        found = []
        for stop, field in stops:
            at = from_timestamp(getattr(stop, name), f"{field}.{name}", violations) if stop.HasField(name) else None
            found.append(at.timestamp() if at else absent_s)
        return np.array(found, dtype=np.float64)

    offsets = np.cumsum([0, *(len(row.route) for row in request.partners)]).astype(np.int64)
    where = [(stop.location.latitude_deg, stop.location.longitude_deg) for stop, _ in stops]
    nothing = np.zeros(len(stops), dtype=np.int64)
    return Routes(
        offsets=offsets,
        place=np.array(where, dtype=np.float64).reshape(-1, 2),
        pickup=np.array([stop.pickup for stop, _ in stops], dtype=np.int64),
        service_s=np.zeros(len(stops)),
        ready_at_s=times("ready_at", 0.0),
        due_at_s=times("due_at", NO_DUE_S),
        parcels=nothing,
        weight_g=nothing,
        volume_cm3=nothing,
    )


def _paise(rows: Sequence[Any], table: str, name: str, absent: int, violations: Violations) -> Ints:
    values = np.full(len(rows), absent, dtype=np.int64)
    for place, row in enumerate(rows):
        if row.HasField(name):
            money: money_pb2.Money = getattr(row, name)
            values[place] = money.amount_minor
            if money.currency_code != RUPEES:
                field, said = f"{table}[{place}].{name}.currency_code", f"is {money.currency_code}, must be {RUPEES}"
                violations.append(FieldViolation(field, said, "money.inr"))
    return values

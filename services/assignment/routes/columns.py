"""Partners' routes as the columns of a matching problem."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from uuid import UUID

import numpy as np

from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import Partners
from services.assignment.matching.routes import Routes
from services.assignment.routes.route import Held, Stop, StopKind, stops_of


def routes_of(
    partner_ids: Sequence[UUID], held: Sequence[Held], pickup_service_s: float, drop_service_s: float
) -> tuple[Routes, Ranks]:
    """Return the routes of partners, in their order, and the ranks of their stops.

    Pickups that follow each other at one place are one row: nothing is ever put between them, and they share a dwell.
    What is left of a partner's capacity counts everything it holds, so no row loads anything.
    """
    by_partner: dict[UUID, list[Held]] = {}
    for one in held:
        by_partner.setdefault(one.partner_id, []).append(one)
    rows = [_visits(stops_of(by_partner.get(partner_id, ()))) for partner_id in partner_ids]
    visits = [visit for route in rows for visit in route]
    pickup = np.array([visit[0].kind is StopKind.PICKUP for visit in visits], dtype=np.int64)
    nothing = np.zeros(len(visits), dtype=np.int64)
    ready = [max((s.ready_at.timestamp() for s in visit if s.ready_at), default=-np.inf) for visit in visits]
    due = [min((s.due_at.timestamp() for s in visit if s.due_at), default=np.inf) for visit in visits]
    routes = Routes(
        offsets=np.cumsum([0, *(len(route) for route in rows)]).astype(np.int64),
        place=np.array([(visit[0].place.lat, visit[0].place.lng) for visit in visits], dtype=float).reshape(-1, 2),
        pickup=pickup,
        service_s=np.where(pickup == 1, pickup_service_s, drop_service_s),
        ready_at_s=np.array(ready, dtype=float),
        due_at_s=np.array(due, dtype=float),
        parcels=nothing,
        weight_g=nothing,
        volume_cm3=nothing,
    )
    first, last = (np.array([visit[end].rank for visit in visits], dtype=float) for end in (0, -1))
    return routes, Ranks(first, last)


def _visits(stops: Sequence[Stop]) -> list[list[Stop]]:
    """Return the stops in groups that are one visit each."""

    def visit(numbered: tuple[int, Stop]) -> object:
        place, stop = numbered
        return (stop.kind, stop.place) if stop.kind is StopKind.PICKUP else place

    return [[stop for _, stop in group] for _, group in groupby(enumerate(stops), key=visit)]


def within_limit(partners: Partners, routes: Routes, ranks: Ranks, stops_max: int) -> tuple[Partners, Ranks]:
    """Return the partners with their routes; one whose route is longer than `stops_max` gets no more for now."""
    long = routes.lengths > stops_max
    if not long.any():
        return replace(partners, routes=routes), ranks
    lengths = np.where(long, 0, routes.lengths)
    kept = np.repeat(~long, routes.lengths)
    columns = {name: getattr(routes, name)[kept] for name in Routes.__dataclass_fields__ if name != "offsets"}
    cut = Routes(offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), **columns)
    full = replace(
        partners,
        routes=cut,
        parcels_left=np.where(long, 0, partners.parcels_left),
        units_max=np.where(long, 0, partners.units_max),
    )
    return full, Ranks(ranks.first[kept], ranks.last[kept])

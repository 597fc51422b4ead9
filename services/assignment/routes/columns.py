"""Partners' routes as the columns of a matching problem."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from uuid import UUID

import numpy as np

from services.assignment.matching.geography import Floats
from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import Partners
from services.assignment.matching.routes import Routes
from services.assignment.routes.route import Held, Stop, StopKind, stops_of

NO_VISITS: Floats = np.zeros((0, 7))


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
    rows = [visits_of(by_partner.get(partner_id, ())) for partner_id in partner_ids]
    return laid_out(rows, pickup_service_s, drop_service_s)


def visits_of(held: Iterable[Held]) -> Floats:
    """Return (visits, 7) of one partner's route, in order.

    Columns: latitude, longitude, 1 for a pickup, ready_at and due_at in seconds since 1970, the first and the last rank
    of the stops that are one visit.
    """
    rows = [
        (
            visit[0].place.lat,
            visit[0].place.lng,
            visit[0].kind is StopKind.PICKUP,
            max((stop.ready_at.timestamp() for stop in visit if stop.ready_at), default=-np.inf),
            min((stop.due_at.timestamp() for stop in visit if stop.due_at), default=np.inf),
            visit[0].rank,
            visit[-1].rank,
        )
        for visit in _visits(stops_of(held))
    ]
    return np.array(rows, dtype=float).reshape(-1, 7)


def laid_out(rows: Sequence[Floats], pickup_service_s: float, drop_service_s: float) -> tuple[Routes, Ranks]:
    """Return the routes of partners, each given as `visits_of` does, and the ranks of their stops."""
    visits = np.concatenate([NO_VISITS, *(row for row in rows if len(row))])
    pickup = visits[:, 2].astype(np.int64)
    nothing = np.zeros(len(visits), dtype=np.int64)
    routes = Routes(
        offsets=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        place=visits[:, :2].copy(),
        pickup=pickup,
        service_s=np.where(pickup == 1, pickup_service_s, drop_service_s),
        ready_at_s=visits[:, 3].copy(),
        due_at_s=visits[:, 4].copy(),
        parcels=nothing,
        weight_g=nothing,
        volume_cm3=nothing,
    )
    return routes, Ranks(visits[:, 5].copy(), visits[:, 6].copy())


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

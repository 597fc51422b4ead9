"""The shipped policy: plan everything that is known every minute, decide only what cannot wait.

- A partner is sent when it must leave to be there as the goods are; until then nothing is promised (the commitment
  strategy of Reyes et al. 2018, "The meal delivery routing problem").
- Partners who are about to be free are matched from where and when they will be, so an order waits for a near partner
  where that is sooner (Steever, Karwan and Murray 2019, doi:10.1016/j.cor.2019.04.008).
- Under pressure a partner's minute has a price, which makes bundles and near pickups worth their delay.
- Idle partners go where orders are likely and nobody is near, if they may.
- Lateness grows faster than time, and an order about to miss its last moment outbids all others, so none starves.
"""

from collections.abc import Sequence

import numpy as np

from services.assignment.matching.horizon.assign import UNASSIGNED, Matching, assign
from services.assignment.matching.horizon.bundling import joined
from services.assignment.matching.horizon.candidates import Candidates
from services.assignment.matching.horizon.day import NO_LIMIT, Day, Floats, Ints
from services.assignment.matching.horizon.pressure import pressure
from services.assignment.matching.horizon.pricing import Edges, left_out, price
from services.assignment.matching.horizon.repositioning import repositioned
from services.assignment.matching.horizon.situation import Decisions, Situation, Take
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Packed, Unit, Units
from services.assignment.matching.horizon.visits import Additions, additions
from services.assignment.matching.horizon.waiting import leaving, pressing


class Rolling:
    """One day's dispatcher."""

    def __init__(self, day: Day, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.window_min, self.urgent_min = self.tuning.window_min, self.tuning.urgent_min
        self._made = Units(day)
        self._seen_min = -np.inf
        most = int(day.parcels_max.max(initial=0))
        self._bundle_max = self.tuning.bundle_max if most >= NO_LIMIT else max(1, most)

    def decide(self, seen: Situation) -> Decisions:
        """Match what is there, join what should be, and send those who must leave."""
        tuning, day = self.tuning, seen.day
        new = seen.orders[day.placed_min[seen.orders] > self._seen_min]
        self._seen_min = seen.now_min
        between = seen.next_min - seen.now_min < self.window_min - 1e-9
        if between and not pressing(seen, new):
            return Decisions()
        strain = pressure(seen, tuning)
        calm = strain < tuning.calm and len(seen.orders) > tuning.calm_units
        if calm:
            idle = seen.partners[seen.free_min[seen.partners] <= seen.now_min]
            orders = leaving(seen, idle, seen.now_min + tuning.calm_min)
        else:
            orders = leaving(seen, seen.partners, seen.now_min + tuning.ahead_min)
        someone = bool((seen.free_min[seen.partners] < seen.next_min).any()) or bool(seen.visits)
        decided, planned = Decisions(), np.empty(0, dtype=np.int64)
        if len(orders) and someone:
            plan = _Plan(seen, tuning, self._made, self._bundle_max, strain)
            decided = plan.decisions([self._made.of((int(order),)) for order in orders])
            planned = plan.planned
        if day.reposition:
            decided.moves = repositioned(seen, tuning, planned)
        return decided


class _Plan:
    """One moment's plan."""

    def __init__(self, seen: Situation, tuning: Tuning, made: Units, bundle_max: int, strain: float) -> None:
        self.seen, self.tuning, self.made, self.bundle_max, self.strain = seen, tuning, made, bundle_max, strain
        over = max(0.0, strain - tuning.price_from)
        self.minute_price = min(tuning.price_max, tuning.idle_price + tuning.price * over)
        self.planned = np.empty(0, dtype=np.int64)
        self.wait_min = tuning.left_out_min * (1 + tuning.left_out_pressure * max(0.0, strain - 1))

    def decisions(self, units: list[Unit]) -> Decisions:
        """Return what to do before the next moment."""
        pickups, counts = np.unique([unit.pickup for unit in units], return_counts=True)
        candidates = Candidates(self.seen, pickups, self.tuning.partners_near, counts)
        rounds = self.tuning.bundle_rounds if self.strain >= self.tuning.bundle_from else 0
        if self.seen.day.capacitated and self.bundle_max > 1:
            rounds = max(rounds, self.tuning.parcel_rounds)
        while True:
            edges, extra, matching, leave = self._matched(units, candidates)
            if not rounds:
                break
            cost, partner = self._as_matched(edges, extra, matching, leave)
            better = joined(
                self.seen, self.tuning, self.made, candidates, units, cost, partner, self.minute_price, self.bundle_max
            )
            if better is None:
                break
            units, rounds = better, rounds - 1
        return self._decided(units, edges, extra, matching)

    def _best(self, count: int, row: Ints, cost: Floats, edges: Edges) -> tuple[Floats, Floats]:
        """Return (count,) each unit's least cost, +inf where there is none, and when it would be left for."""
        best, depart = np.full(count, np.inf), np.full(count, self.seen.now_min)
        np.minimum.at(best, row, cost)
        cheapest = np.flatnonzero(edges.cost == best[edges.unit])
        depart[edges.unit[cheapest]] = edges.depart_min[cheapest]
        return best, depart

    def _matched(self, units: Sequence[Unit], candidates: Candidates) -> tuple[Edges, Additions, Matching, Floats]:
        packed = Packed.of(units)
        edges = price(self.seen, self.tuning, packed, *candidates.pairs(packed.pickup), self.minute_price)
        extra = additions(self.seen, self.tuning, self.made, units, self.minute_price, self.bundle_max)
        row = np.concatenate([edges.unit, extra.unit])
        cost = np.concatenate([edges.cost, extra.cost])
        best, depart = self._best(len(units), row, cost, edges)
        leave = left_out(self.seen, self.tuning, packed, best, depart, self.minute_price, self.wait_min)
        # A visit is a column of its own, behind those of the partners.
        column = np.concatenate([edges.partner, len(self.seen.free_min) + extra.visit])
        return edges, extra, assign(row, column, cost, leave), leave

    def _as_matched(self, edges: Edges, extra: Additions, matching: Matching, leave: Floats) -> tuple[Floats, Ints]:
        """Return (u,) what each unit costs as things are, and (u,) the partner who is to take it, or UNASSIGNED."""
        cost, partner = leave.copy(), np.full(len(leave), UNASSIGNED, dtype=np.int64)
        alone = np.flatnonzero((matching.edge != UNASSIGNED) & (matching.edge < len(edges.unit)))
        cost[alone] = edges.cost[matching.edge[alone]]
        partner[alone] = edges.partner[matching.edge[alone]]
        added = np.flatnonzero(matching.edge >= len(edges.unit))
        cost[added] = extra.cost[matching.edge[added] - len(edges.unit)]
        return cost, partner

    def _decided(self, units: Sequence[Unit], edges: Edges, extra: Additions, matching: Matching) -> Decisions:
        decided = Decisions(edges=len(edges.unit) + len(extra.unit))
        decided.cost, decided.lower_bound = matching.proof()
        chosen = matching.edge[(matching.edge != UNASSIGNED) & (matching.edge < len(edges.unit))]
        self.planned = edges.partner[chosen]
        early_min = self.tuning.early_min if self.strain < self.tuning.calm else 0.0
        by_min = self.seen.next_min + early_min - 1e-9
        for row in np.flatnonzero(matching.edge != UNASSIGNED).tolist():
            edge = int(matching.edge[row])
            if edge >= len(edges.unit):
                place = edge - len(edges.unit)
                visit = self.seen.visits[int(extra.visit[place])]
                decided.takes.append(Take(visit.partner, extra.orders[place], more=True))
            elif edges.depart_min[edge] < by_min:
                decided.takes.append(Take(int(edges.partner[edge]), units[row].orders))
        return decided

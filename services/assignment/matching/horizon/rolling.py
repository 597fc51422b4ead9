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


class Rolling:
    """One day's dispatcher."""

    def __init__(self, day: Day, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.window_min, self.urgent_min = self.tuning.window_min, self.tuning.urgent_min
        self._made = Units(day)
        most = int(day.parcels_max.max(initial=0))
        self._bundle_max = self.tuning.bundle_max if most >= NO_LIMIT else max(1, most)

    def decide(self, seen: Situation) -> Decisions:
        """Match what is there, join what should be, and send those who must leave."""
        tuning, day, until = self.tuning, seen.day, seen.now_min + self.window_min
        soon = day.ready_min[seen.orders] - day.pickup_service_min / 2 <= seen.now_min + tuning.ready_within_min
        orders = seen.orders[soon]
        someone = bool((seen.free_min[seen.partners] < until).any()) or bool(seen.visits)
        decided, planned = Decisions(), np.empty(0, dtype=np.int64)
        if len(orders) and someone:
            plan = _Plan(seen, tuning, self._made, self._bundle_max, pressure(seen, tuning))
            decided = plan.decisions([self._made.of((int(order),)) for order in orders], until)
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

    def decisions(self, units: list[Unit], until: float) -> Decisions:
        """Return what to do before `until`."""
        pickups, counts = np.unique([unit.pickup for unit in units], return_counts=True)
        candidates = Candidates(self.seen, pickups, self.tuning.partners_near, counts)
        if self.strain < self.tuning.calm and len(units) > self.tuning.calm_units:
            units = self._leaving(units, candidates)
            if not units:
                return Decisions()
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
        return self._decided(units, edges, extra, matching, until)

    def _leaving(self, units: list[Unit], candidates: Candidates) -> list[Unit]:
        """Return the units whose nearest partner leaves soon: where there are enough partners, others can wait."""
        packed = Packed.of(units)
        edges = price(self.seen, self.tuning, packed, *candidates.pairs(packed.pickup), self.minute_price)
        _, depart = self._best(len(units), edges.unit, edges.cost, edges)
        by = self.seen.now_min + self.tuning.calm_min
        return [unit for unit, leaves in zip(units, depart, strict=True) if leaves <= by]

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

    def _decided(
        self, units: Sequence[Unit], edges: Edges, extra: Additions, matching: Matching, until: float
    ) -> Decisions:
        decided = Decisions(edges=len(edges.unit) + len(extra.unit))
        decided.cost, decided.lower_bound = matching.proof()
        chosen = matching.edge[(matching.edge != UNASSIGNED) & (matching.edge < len(edges.unit))]
        self.planned = edges.partner[chosen]
        for row in np.flatnonzero(matching.edge != UNASSIGNED).tolist():
            edge = int(matching.edge[row])
            if edge >= len(edges.unit):
                place = edge - len(edges.unit)
                visit = self.seen.visits[int(extra.visit[place])]
                decided.takes.append(Take(visit.partner, extra.orders[place], more=True))
            elif edges.depart_min[edge] < until - 1e-9:
                decided.takes.append(Take(int(edges.partner[edge]), units[row].orders))
        return decided

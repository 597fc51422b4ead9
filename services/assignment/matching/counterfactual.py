"""What would have to be different for an unassigned package to get a partner, with everything else as it is.

For each kind of change, the smallest amount that helps: candidates come from the columns of the partners who are lost
to it, and a change is believed only after the window has been solved again with it, and the next smaller one has been
solved without success. Where no kind helps, that is the answer, and `tried` says what it rests on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from services.assignment.matching.again import Again, Budget, BudgetSpentError
from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.changes import (
    COLUMN_CHANGES,
    ColumnChange,
    Kind,
    commonest_vehicle,
    copies,
    more_vehicles,
    with_partners,
    with_place,
    with_reach,
    with_vehicles,
)
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import EARTH_RADIUS_M, Floats, Ints, Metric
from services.assignment.matching.match import MatchResult
from services.assignment.matching.problem import Problem
from services.assignment.matching.remedies import (
    Remedy,
    column_remedy,
    partner_remedy,
    place_remedy,
    vehicles_remedy,
)

# How many amounts are tried where a larger one need not help: later shifts, farther partners, places with partners.
LISTED_MAX = 6
# Distances to a partner are told in such steps.
DISTANCE_STEP_M = 100
# Beyond this, a higher limit of the pickup distance is no answer.
REACH_M_MAX = 50_000
# What a cost decides, most often: finding the amount takes many solves.
_SOUGHT_LAST = (Kind.READY_LATER, Kind.READY_EARLIER, Kind.DECLARED_VALUE, Kind.WINDOW_END)
_Finder = Callable[[], Remedy | None]


@dataclass(frozen=True, slots=True)
class Remedies:
    """What would help a package, the smallest change first; tried: the kinds that were looked into.

    Nothing found and every kind tried: there is no such change.
    """

    found: tuple[Remedy, ...]
    tried: tuple[Kind, ...]


def remedies(
    problem: Problem, result: MatchResult, packages: Ints | Sequence[int], budget: Budget | None = None
) -> dict[int, Remedies]:
    """Return the remedies of unassigned packages by their indices, in their order, as far as the budget goes.

    A package whose search the budget has cut short is there with what was tried; one that was not begun is not. Where a
    rule breaks at what could be, and did not at what is, that kind of change counts as not tried.
    """
    budget = budget or Budget()
    rows = [int(row) for row in packages if result.partner[row] == UNASSIGNED]
    again, answers = Again(problem, result, budget), {}
    for row in rows[: budget.packages_max]:
        if budget.expired():
            break
        budget.solves = 0
        try:
            answers[row] = _Search(again, row).run()
        except RuleFaultError:
            # The rule breaks at a pair that the window did not ask it about.
            answers[row] = Remedies((), ())
    return answers


class _Search:
    def __init__(self, again: Again, row: int) -> None:
        self.again, self.problem, self.row = again, again.problem, row
        m = len(self.problem.partners)
        self.everyone = np.arange(m)
        self.cost_ms = again.result.book.price(
            self.problem, Edges(self.problem, np.full(m, row), self.everyone)
        ).cost_ms

    def run(self) -> Remedies:
        found, tried = [], []
        try:
            for kind, finder in self._finders():
                self.again.budget.check()
                try:
                    remedy = finder()
                except RuleFaultError:
                    # A rule that breaks only where something is different: what it would say then, nobody knows.
                    continue
                tried.append(kind)
                if remedy is not None:
                    found.append(remedy)
        except BudgetSpentError:
            pass
        found.sort(key=lambda remedy: (remedy.size, list(Kind).index(remedy.kind)))
        return Remedies(tuple(found), tuple(kind for kind in Kind if kind in tried))

    def _finders(self) -> list[tuple[Kind, _Finder]]:
        """Return how each kind is sought: first what opens partners up, then what may take long to find."""
        columns: dict[Kind, _Finder] = {
            change.kind: partial(self._rising if change.rising else self._listed, change) for change in COLUMN_CHANGES
        }
        others: dict[Kind, _Finder] = {
            Kind.VEHICLES: self._vehicles,
            Kind.PICKUP_DISTANCE: self._pickup_distance,
            Kind.PARTNER: self._partner,
            Kind.PARTNER_PLACE: self._partner_place,
        }
        late = [(kind, columns.pop(kind)) for kind in _SOUGHT_LAST]
        return [*columns.items(), *others.items(), *late]

    def _helps(self, change: ColumnChange, amount: int) -> bool:
        return self.again.assigns(change.applied(self.problem, self.row, amount), self.row)

    def _priced(self, change: ColumnChange, amounts: Ints, partners: Ints) -> Floats:
        """Return (k,): what pairs cost when the package changes by as many amounts, one for each pair."""
        variants = copies(self.problem, self.row, len(amounts))
        packages = change.altered(variants.packages, np.arange(len(amounts)), amounts)
        edges = Edges(replace(variants, packages=packages), np.arange(len(amounts)), partners)
        return self.again.result.book.price(edges.problem, edges).cost_ms

    def _rising(self, change: ColumnChange) -> Remedy | None:
        """Find the smallest amount of a change that helps the more, the larger it is."""
        most = change.most_of(self.problem, self.row) // change.step * change.step
        if most <= 0 or not len(self.everyone):
            return None
        best_ms = self._priced(change, np.full(len(self.everyone), most), self.everyone)
        if np.array_equal(best_ms, self.cost_ms) or not self._helps(change, most):
            return None
        points = np.unique(np.append(self._points(change, most), most))
        # Doubling steps first: most often one of the first few helps.
        low, high, stride = -1, len(points) - 1, 1
        while low + stride < high:
            if self._helps(change, int(points[low + stride])):
                high = low + stride
                break
            low, stride = low + stride, stride * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._helps(change, int(points[middle])) else (middle, high)
        amount = self._between(change, int(points[low]) if low >= 0 else 0, int(points[high]))
        return self._told(change, amount)

    def _points(self, change: ColumnChange, most: int) -> Ints:
        """Return the amounts up to `most` at which partners open up, rising."""
        amounts, partners = change.candidates(self.problem, self.row)
        sensible = (amounts > 0) & (amounts <= most)
        amounts, partners = -(-amounts[sensible] // change.step) * change.step, partners[sensible]
        opened = np.isfinite(self._priced(change, amounts, partners)) & ~np.isfinite(self.cost_ms[partners])
        result: Ints = np.unique(amounts[opened])
        return result

    def _between(self, change: ColumnChange, low: int, high: int) -> int:
        """Return the smallest amount that helps, above `low`, which does not, and at most `high`, which does."""
        step = change.step
        if high - step > low and self._helps(change, high - step):
            high -= step
            while high - low > step:
                middle = low + (high - low) // (2 * step) * step
                low, high = (low, middle) if self._helps(change, middle) else (middle, high)
        return high

    def _listed(self, change: ColumnChange) -> Remedy | None:
        """Find the first moment at which a further partner opens up and the change helps; a later one need not help."""
        low = 0
        for point in self._points(change, change.most_of(self.problem, self.row))[:LISTED_MAX]:
            if self._helps(change, int(point)):
                return self._told(change, self._between(change, low, int(point)))
            low = int(point)
        return None

    def _told(self, change: ColumnChange, amount: int) -> Remedy | None:
        if not self.again.confirms(change.applied(self.problem, self.row, amount), self.row):
            return None
        value = float(getattr(self.problem.packages, change.column)[self.row])
        return column_remedy(change.kind, amount, change.unit, value)

    def _vehicles(self) -> Remedy | None:
        for mask in more_vehicles(self.problem, self.row):
            changed = with_vehicles(self.problem, self.row, mask)
            opened = self.again.feasible(changed, self.row) & ~np.isfinite(self.cost_ms)
            if opened.any() and self.again.assigns(changed, self.row) and self.again.confirms(changed, self.row):
                return vehicles_remedy(mask)
        return None

    def _pickup_distance(self) -> Remedy | None:
        limit_m, packages = self.problem.policy.pickup_distance_m_max, self.problem.packages
        wide = replace(self.problem, policy=replace(self.problem.policy, pickup_distance_m_max=float(REACH_M_MAX)))
        opened = np.flatnonzero(self.again.feasible(wide, self.row) & ~np.isfinite(self.cost_ms))
        far_m = self.problem.travel.distance_m(self.problem.partners.place[opened], packages.pickup[self.row])
        for amount in np.unique(np.ceil(far_m - limit_m).astype(np.int64))[:LISTED_MAX]:
            changed = with_reach(self.problem, self.row, limit_m + max(0, int(amount)))
            if amount > 0 and self.again.assigns(changed, self.row) and self.again.confirms(changed, self.row):
                return column_remedy(Kind.PICKUP_DISTANCE, int(amount), "m", limit_m)
        return None

    def _partner_place(self) -> Remedy | None:
        packages, partners = self.problem.packages, self.again.free
        parcels = int(packages.parcels[self.row])
        wider = replace(partners, parcels_left=partners.parcels_left + parcels, units_max=partners.units_max + 1)
        possible = self.again.feasible(replace(self.problem, partners=wider), self.row)
        full = np.flatnonzero(possible & (partners.units_max <= 0))
        far_m = self.problem.travel.distance_m(partners.place[full], packages.pickup[self.row])
        for nearest in np.argsort(far_m, kind="stable")[:LISTED_MAX]:
            partner = full[nearest : nearest + 1]
            if self.again.assigns_first(with_place(self.problem, int(partner[0]), parcels), self.row, partner):
                return place_remedy(int(np.ceil(far_m[nearest])))
        return None

    def _partner(self) -> Remedy | None:
        """Find the largest distance at which one more partner would help, wherever round the pickup it is."""
        limit_m = self.problem.policy.pickup_distance_m_max
        vehicle = commonest_vehicle(self.problem, self.row)
        steps = int(min(limit_m, REACH_M_MAX)) // DISTANCE_STEP_M

        def helps(step: int) -> bool:
            around = self._around(np.array([step * DISTANCE_STEP_M * (1 - 1e-6)]))
            changed = with_partners(self.problem, around, vehicle, self.row)
            return self.again.assigns_first(changed, self.row, len(self.everyone) + np.arange(len(around)))

        if steps > 0 and helps(steps):
            return partner_remedy(steps * DISTANCE_STEP_M, limit_m, vehicle)
        low, high = 0, steps
        guess = self._guess(steps, vehicle) if steps else 0
        for step in (guess, guess + 1):
            if low < step < high:
                low, high = (step, high) if helps(step) else (low, step)
        while high - low > 1:
            # Where even the nearest place does not help, none does.
            middle = (low + high) // 2 if low else 1
            low, high = (middle, high) if helps(middle) else (low, middle if low else 1)
        return partner_remedy(low * DISTANCE_STEP_M, limit_m, vehicle) if low else None

    def _around(self, distance_m: npt.NDArray[np.floating[Any]]) -> Floats:
        """Return (4 k, 2) places at these distances of the pickup; (k, 2) where no other package could come first."""
        pickup = self.problem.packages.pickup[self.row]
        toward = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        if len(self.again.left_out) == 1:
            toward = toward[1:2] if pickup[0] > 0 else toward[:1]
        steps = (distance_m[:, None, None] * toward).reshape(-1, 2)
        if self.problem.travel.metric is Metric.EUCLIDEAN:
            places: Floats = pickup + steps
            return places
        scale = np.array([1.0, max(0.01, np.cos(np.radians(pickup[0])))])
        around: Floats = pickup + np.degrees(steps / EARTH_RADIUS_M) / scale
        return around

    def _guess(self, steps: int, vehicle: int) -> int:
        """Return the largest step at which this package would cost a new partner less than any other left out."""
        left_out = self.again.left_out
        around = self._around(np.arange(1, steps + 1) * DISTANCE_STEP_M * (1 - 1e-6))
        m, k = len(self.everyone), len(around)
        changed = with_partners(self.problem, around, vehicle, self.row)
        edges = Edges(changed, np.repeat(left_out, k), np.tile(np.arange(m, m + k), len(left_out)))
        cost_ms = self.again.result.book.price(changed, edges).cost_ms.reshape(len(left_out), k)
        mine = int(np.searchsorted(left_out, self.row))
        first = (cost_ms[mine] <= np.delete(cost_ms, mine, axis=0).min(axis=0, initial=np.inf)).reshape(steps, -1)
        wins = first.all(axis=1) & np.isfinite(cost_ms[mine]).reshape(steps, -1).all(axis=1)
        return int(np.argmin(np.append(wins, False)))

"""One window's matching from end to end: problem, costs, solution, and why each package fared as it did."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from services.assignment.matching import costs
from services.assignment.matching.costs import Costs, Lost
from services.assignment.matching.problem import Ints, Packages, Partners, Policy
from services.assignment.matching.solver import UNASSIGNED, solve_within_load

ALTERNATIVES_MAX = 3
ASSIGNED, NO_PARTNERS, NO_FEASIBLE_PARTNER, OUTCOMPETED = (
    "ASSIGNED", "NO_PARTNERS", "NO_FEASIBLE_PARTNER", "OUTCOMPETED",
)  # fmt: skip

# A partner who is not at work, as `absent` counts it.
OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class PartnerCost:
    """What a package would cost with a partner; `partner` is its index."""

    partner: int
    cost_s: float
    terms_s: Mapping[str, float]
    pickup_distance_m: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a package was matched as it was. `reason` says it in one word: the outcome, or the commonest loss."""

    outcome: str
    reason: str
    chosen: PartnerCost | None
    alternatives: tuple[PartnerCost, ...]
    partners_lost: Mapping[str, int]
    partners_feasible: int


@dataclass(frozen=True, slots=True)
class MatchResult:
    """partner (n,): the index each package is matched to, or UNASSIGNED; its explanations; the cost; the times."""

    partner: Ints
    explanations: tuple[Explanation, ...]
    cost_s: float
    feasible_pairs: int
    build_ms: float
    solve_ms: float


def match(
    packages: Packages,
    partners: Partners,
    policy: Policy,
    now_s: float,
    clock_s: Callable[[], float],
    absent: Mapping[str, int] | None = None,
) -> MatchResult:
    """Match packages to partners at the moment `now_s`. `clock_s` measures the stages and decides nothing.

    `absent` counts, by reason, partners who are not among `partners` because they could take nothing at all: they are
    lost to every package, and the explanations say so.

    Raises ProblemError when there are more pairs than the policy allows.
    """
    started_s = clock_s()
    built = costs.build(packages, partners, policy, now_s)
    built_s = clock_s()
    partner = solve_within_load(built.cost_s, packages, partners)
    solved_s = clock_s()
    rows = np.flatnonzero(partner != UNASSIGNED)
    return MatchResult(
        partner=partner,
        explanations=_explain(packages, partners, policy, now_s, built, partner, absent or {}),
        cost_s=float(built.cost_s[rows, partner[rows]].sum()),
        feasible_pairs=int((built.lost == Lost.FEASIBLE).sum()),
        build_ms=(built_s - started_s) * 1000,
        solve_ms=(solved_s - built_s) * 1000,
    )


def _explain(
    packages: Packages,
    partners: Partners,
    policy: Policy,
    now_s: float,
    built: Costs,
    partner: Ints,
    absent: Mapping[str, int],
) -> tuple[Explanation, ...]:
    n, m = len(packages), len(partners)
    if not m:
        outcome = NO_FEASIBLE_PARTNER if absent else NO_PARTNERS
        return (Explanation(outcome, _commonest(absent), None, (), absent, 0),) * n
    shown = min(ALTERNATIVES_MAX + 1, m)
    best = np.argpartition(built.cost_s, shown - 1, axis=1)[:, :shown]
    # The chosen one first, then the others by cost; ties by index, so that every machine says the same.
    best = np.sort(best, axis=1)
    best = np.take_along_axis(
        best, np.argsort(np.take_along_axis(built.cost_s, best, axis=1), axis=1, kind="stable"), 1
    )
    candidates = np.column_stack([np.maximum(partner, 0), best])
    rows = np.broadcast_to(np.arange(n)[:, None], candidates.shape)
    terms = costs.terms_of(packages, partners, policy, now_s, rows, candidates)
    lost = np.stack([(built.lost == reason).sum(axis=1) for reason in Lost], axis=1)

    def partner_cost(row: int, place: int) -> PartnerCost:
        index = int(candidates[row, place])
        shares = {name: float(values[row, place]) for name, values in terms.items()}
        return PartnerCost(index, float(built.cost_s[row, index]), shares, float(built.distance_m[row, index]))

    def explanation(row: int) -> Explanation:
        taken = int(partner[row])
        others = [
            partner_cost(row, place)
            for place in range(1, candidates.shape[1])
            if candidates[row, place] != taken and np.isfinite(built.cost_s[row, candidates[row, place]])
        ]
        counts = Counter(absent)
        counts.update({reason.name: int(lost[row, reason]) for reason in Lost if reason and lost[row, reason]})
        feasible = int(lost[row, Lost.FEASIBLE])
        if taken != UNASSIGNED:
            outcome = reason = ASSIGNED
        elif feasible:
            outcome = reason = OUTCOMPETED
        else:
            outcome, reason = NO_FEASIBLE_PARTNER, _commonest(counts)
        chosen = None if taken == UNASSIGNED else partner_cost(row, 0)
        return Explanation(outcome, reason, chosen, tuple(others[:ALTERNATIVES_MAX]), dict(counts), feasible)

    return tuple(explanation(row) for row in range(n))


def _commonest(counts: Mapping[str, int]) -> str:
    """Return the reason that most partners were lost to; OFFLINE only where nobody is at work."""
    at_work = {reason: count for reason, count in counts.items() if reason != OFFLINE and count}
    candidates = at_work or counts
    return max(candidates, key=lambda reason: candidates[reason], default=NO_PARTNERS)

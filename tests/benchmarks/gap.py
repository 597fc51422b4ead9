"""True capacities: instances of the generalized assignment problem by weight, against a MILP solver."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from services.assignment.matching.match import match
from services.assignment.matching.pipeline import LEFT_OUT_MS
from tests.benchmarks.report import Row, report
from tests.unit.services.assignment.matching.gap_instances import TYPES, Gap, Optimum, instance, optimum

SIZES, SEEDS = ((5, 50), (10, 60)), 3
# As published, and with room for everybody.
SPARE = (1.0, 1.5)
SOLVER_S_MAX = 10.0


@dataclass(frozen=True)
class Outcome:
    """One instance: jobs left out and what the others cost, ours and HiGHS's; the bound; seconds of the processor."""

    gap: Gap
    left_out: int
    cost: int
    bound: int
    ours_s: float
    best: Optimum
    milp_s: float


def outcomes(kind: str, spare: float) -> Iterator[Outcome]:
    """Solve the instances of a type both ways."""
    for agents, jobs in SIZES:
        for seed in range(SEEDS):
            gap = instance(kind, agents, jobs, seed, spare=spare)
            problem, book = gap.problem()
            started_s = time.process_time()
            result = match(problem, book=book)
            ours_s = time.process_time() - started_s
            started_s = time.process_time()
            best = optimum(gap, SOLVER_S_MAX)
            milp_s = time.process_time() - started_s
            left_out, cost = int((result.partner < 0).sum()), round(result.total_cost_s * 1000)
            # Whatever HiGHS has found when its time is up, it is a matching.
            assert result.certificate.lower_bound_ms <= best.cost + int(LEFT_OUT_MS) * best.left_out
            yield Outcome(gap, left_out, cost, result.certificate.lower_bound_ms, ours_s, best, milp_s)


def rows(kind: str, spare: float) -> list[Row]:
    """What all instances of a type come to."""
    print(f"type {kind}, room x {spare}", file=sys.stderr)
    solved = list(outcomes(kind, spare))
    name = f"{kind}, room x {spare:g}"
    jobs = sum(len(one.gap.weight) for one in solved)
    ours, theirs = sum(one.left_out for one in solved), sum(one.best.left_out for one in solved)
    found = [
        Row(f"{name}: jobs left out, of {jobs}", ours, "jobs", "HiGHS", theirs),
        Row(
            f"{name}: instances that HiGHS solved to the end",
            sum(one.best.proven for one in solved),
            f"of {len(solved)}",
        ),
    ]
    both = [one for one in solved if one.left_out == one.best.left_out]
    if both:
        cost, best = sum(one.cost for one in both), sum(one.best.cost for one in both)
        found.append(Row(f"{name}: dearer, where as many are placed", 100 * (cost / best - 1), "%"))
    bounded = [one for one in solved if one.best.left_out == 0 and one.bound < LEFT_OUT_MS]
    if bounded:
        bound, best = sum(one.bound for one in bounded), sum(one.best.cost for one in bounded)
        found.append(Row(f"{name}: lower bound below HiGHS", 100 * (1 - bound / best), "%"))
    times = sum(one.ours_s for one in solved), sum(one.milp_s for one in solved)
    found.append(Row(f"{name}: processor time", times[0], "s", "HiGHS", times[1], times[1] / times[0]))
    return found


def main() -> None:
    report("gap", [row for spare in SPARE for kind in TYPES for row in rows(kind, spare)])


if __name__ == "__main__":
    main()

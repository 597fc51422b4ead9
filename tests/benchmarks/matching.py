"""Matching: the whole country against the plain way and OR-tools, a city's window with every rule, growth with size."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from scipy.optimize import linear_sum_assignment

from services.assignment.matching.match import match
from services.assignment.matching.pipeline import solve
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.travel import SPEED_M_PER_S
from services.assignment.matching.warm import warm
from tests.benchmarks.geography import city_window, national
from tests.benchmarks.ortools_peer import flow_of
from tests.benchmarks.report import Row, higher, lower, report

SEED = 20
COUNTRY = (10_000, 45_000)
HOT = (40_000, 45_000, 3)
WINDOW, WINDOWS, WINDOW_PROBLEMS, WINDOW_MS_MAX = (300, 3_000), 300, 30, 20.0
SIZES, PARTNERS_PER_PACKAGE, PACKAGES_PER_CITY, EXPONENT_MAX = (1_000, 3_000, 10_000, 30_000, 100_000), 4.5, 500, 1.2
MEMORY_MB_MAX, SPEEDUP_MIN = 300.0, 100.0
MB = 1 << 20


def ours(capacity: int) -> dict[str, float]:
    """The pipeline over near pairs."""
    problem = national(SEED, *COUNTRY, capacity)
    warm()
    return measured(lambda: float(match(problem).certificate.matched_ms) / 1000)


def plain(capacity: int) -> dict[str, float]:
    """The plain way: the cost matrix in numpy, a column for every slot, one linear_sum_assignment."""
    problem = national(SEED, *COUNTRY, capacity)

    def solved() -> float:
        pickup, place = np.radians(problem.packages.pickup)[:, None], np.radians(problem.partners.place)[None]
        if capacity > 1:
            place = np.repeat(place, problem.partners.units_max, axis=1)
        speed = SPEED_M_PER_S[np.repeat(problem.partners.vehicle, problem.partners.units_max)]
        cost = np.empty((pickup.shape[0], place.shape[1]))
        # A thousand rows at a time: all at once would need four more matrices of this size.
        for start in range(0, len(cost), 1_000):
            some = pickup[start : start + 1_000]
            chord = np.sin((some[..., 0] - place[..., 0]) / 2) ** 2
            chord += np.cos(some[..., 0]) * np.cos(place[..., 0]) * np.sin((some[..., 1] - place[..., 1]) / 2) ** 2
            cost[start : start + 1_000] = 2 * 6_371_008.8 * np.arcsin(np.sqrt(chord)) / speed
        return float(cost[linear_sum_assignment(cost)].sum())

    return measured(solved)


def measured(solved) -> dict[str, float]:  # type: ignore[no-untyped-def]  # a function of one benchmark
    """Return the seconds, the optimum in seconds-equivalent, and the memory above what the process had before."""
    before = psutil.Process().memory_info().rss
    started_s = time.perf_counter()
    cost_s = solved()
    seconds = time.perf_counter() - started_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cost_s": cost_s, "memory_mb": max(0.0, (peak - before) / MB)}


def in_process_of_its_own(part: str, capacity: int) -> dict[str, float]:
    """Run one side where nothing else has touched the memory."""
    command = [sys.executable, "-m", "tests.benchmarks.matching", part, str(capacity)]
    print(f"{part}, capacity 1..{capacity}", file=sys.stderr)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def country_rows(capacity: int) -> list[Row]:
    """Ours beside the plain way, on one problem."""
    mine, theirs = in_process_of_its_own("ours", capacity), in_process_of_its_own("plain", capacity)
    off = abs(mine["cost_s"] - theirs["cost_s"]) / theirs["cost_s"]
    assert off < 1e-6, (mine, theirs)
    name = f"10,000 x 45,000, capacity 1..{capacity}"
    speedup = theirs["seconds"] / mine["seconds"]
    return [
        lower(name, mine["seconds"], "s", "plain way", theirs["seconds"]),
        higher(f"{name}: speedup", speedup, "times", "target", SPEEDUP_MIN),
        lower(f"{name}: memory", mine["memory_mb"], "MB", "plain way", theirs["memory_mb"]),
        lower(f"{name}: memory", mine["memory_mb"], "MB", "target", MEMORY_MB_MAX),
        Row(f"{name}: optimum differs by", off, "share"),
    ]


def hot_rows() -> list[Row]:
    """Hot spots, against OR-tools on the same candidate graph."""
    print("hot spots", file=sys.stderr)
    problem = national(SEED, *HOT)
    book = rule_book(problem.policy)
    with ThreadPoolExecutor() as executor:
        started_s = time.perf_counter()
        solved = solve(problem, book, executor, time.perf_counter)
        total_s = time.perf_counter() - started_s
    assert solved.certificate.optimal
    assert not (solved.partner < 0).any()
    with tempfile.TemporaryDirectory() as folder:
        theirs = flow_of(solved.graph, Path(folder))
    assert theirs["cost_ms"] == solved.certificate.matched_ms, theirs
    name = "40,000 x 45,000 x capacity 3 in hot spots"
    return [
        lower(f"{name}: solve and certify", solved.solve_ms / 1000, "s", "SimpleMinCostFlow", theirs["seconds"]),
        lower(f"{name}: all, candidates included", total_s, "s", "SimpleMinCostFlow", theirs["seconds"]),
        Row(f"{name}: candidate edges", len(solved.graph.cost_ms), "edges"),
    ]


def rebuilt(problem: Problem) -> Problem:
    """Validate and build the problem again from its columns."""
    return replace(problem, packages=replace(problem.packages), partners=replace(problem.partners))


def window_rows() -> list[Row]:
    """One city's window with every rule, building included."""
    print("windows", file=sys.stderr)
    problems = [city_window(seed, *WINDOW) for seed in range(WINDOW_PROBLEMS)]
    match(problems[0])
    times_ms = []
    for number in range(WINDOWS):
        started_s = time.perf_counter()
        match(rebuilt(problems[number % len(problems)]))
        times_ms.append((time.perf_counter() - started_s) * 1000)
    p50_ms, p99_ms = np.percentile(times_ms, [50, 99])
    return [
        Row("window of 300 x 3,000, every rule: p50", float(p50_ms), "ms"),
        lower("window of 300 x 3,000, every rule: p99", float(p99_ms), "ms", "target", WINDOW_MS_MAX),
    ]


def growth_rows() -> list[Row]:
    """Time against size at constant density."""
    times_s = []
    for size in SIZES:
        print(f"{size:,} packages", file=sys.stderr)
        cities = max(2, size // PACKAGES_PER_CITY)
        problem = national(SEED, size, int(size * PARTNERS_PER_PACKAGE), 1, cities=cities, zipf=0.0)
        tries_s = []
        for _ in range(3):
            started_s = time.perf_counter()
            match(problem)
            tries_s.append(time.perf_counter() - started_s)
        times_s.append(min(tries_s))
    exponent = float(np.polyfit(np.log(SIZES), np.log(times_s), 1)[0])
    rows = [Row(f"{size:,} packages", seconds, "s") for size, seconds in zip(SIZES, times_s, strict=True)]
    return [*rows, lower("exponent of time over size", exponent, "", "target", EXPONENT_MAX)]


def main() -> None:
    parts = {"ours": ours, "plain": plain}
    if len(sys.argv) > 2 and sys.argv[1] in parts:
        print(json.dumps(parts[sys.argv[1]](int(sys.argv[2]))))
        return
    warm()
    report("matching", [*country_rows(1), *country_rows(3), *hot_rows(), *window_rows(), *growth_rows()])


if __name__ == "__main__":
    main()

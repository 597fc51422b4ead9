"""What a simulation leaves behind: assignments.csv, moves.csv, windows.csv, summary.json and a copy of the scenario.

Numbers are written so that reading them gives the same number again; nothing depends on the machine or its clock.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cli.simulate.scenario import FILES, Scenario
from cli.simulate.world import Window, World
from services.assignment.matching.horizon.day import Day, Floats

ASSIGNMENTS, MOVES, WINDOWS, SUMMARY, COPY = "assignments.csv", "moves.csv", "windows.csv", "summary.json", "scenario"
ASSIGNMENT_COLUMNS = ("decided_min", "partner_id", "order_id", "pickup_min", "dropoff_min")
MOVE_COLUMNS = ("partner_id", "depart_min", "from", "to", "arrive_min")
WINDOW_COLUMNS = ("at_min", "orders", "partners", "edges", "cost", "lower_bound", "solve_ms")


class Places:
    """What moves.csv calls a place: the id of the partner (where it came on duty), the pickup or the order (its drop).

    Where one id could mean two places, all are written as partner:ID, pickup:ID and order:ID.
    """

    def __init__(self, scenario: Scenario) -> None:
        kinds = {
            "partner": scenario.partner_ids,
            "pickup": scenario.pickup_ids,
            "order": scenario.order_ids,
        }
        unique = len({one for ids in kinds.values() for one in ids}) == sum(map(len, kinds.values()))
        self._names = {kind: ids if unique else [f"{kind}:{one}" for one in ids] for kind, ids in kinds.items()}
        day = scenario.day
        self._coordinates = {"partner": day.start_place, "pickup": day.pickup_place, "order": day.drop_place}

    def name(self, kind: str, index: int) -> str:
        """Return what a place is called."""
        return self._names[kind][index]

    def coordinates(self) -> dict[str, Floats]:
        """Return where each name is."""
        return {
            name: self._coordinates[kind][index]
            for kind, names in self._names.items()
            for index, name in enumerate(names)
        }


def write_outputs(out: Path, source: Path, scenario: Scenario, world: World, *, timings: bool) -> dict[str, Any]:
    """Write everything into `out` and return the summary. `timings`: whether solve_ms is measured, or 0."""
    out.mkdir(parents=True, exist_ok=True)
    copy = out / COPY
    copy.mkdir(exist_ok=True)
    for name in FILES:
        if (source / name).resolve() != (copy / name).resolve():
            shutil.copyfile(source / name, copy / name)
    _write(out / ASSIGNMENTS, ASSIGNMENT_COLUMNS, _assignments(scenario, world))
    _write(out / MOVES, MOVE_COLUMNS, _moves(scenario, world))
    _write(out / WINDOWS, WINDOW_COLUMNS, (_window(window, timings) for window in world.windows))
    summary = summarize(scenario, world)
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def number(value: float) -> str:
    """Return the shortest text that reads as the same number; whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _assignments(scenario: Scenario, world: World) -> list[tuple[str, ...]]:
    rows = []
    for visit in world.visits:
        for order, drop_min in zip(visit.orders, visit.drops_min, strict=True):
            decided_min = float(world.decided_min[order])
            text = (
                number(decided_min), scenario.partner_ids[visit.partner], scenario.order_ids[order],
                number(visit.goods_min), number(drop_min),
            )  # fmt: skip
            rows.append((decided_min, visit.partner, drop_min, text))
    return [row[-1] for row in sorted(rows)]


def _moves(scenario: Scenario, world: World) -> list[tuple[str, ...]]:
    """Return each partner's ways, one after another."""
    places, half = Places(scenario), scenario.day.dropoff_service_min / 2
    legs: dict[int, list[tuple[float, str, float]]] = {}
    for move in world.repositionings:
        legs.setdefault(move.partner, []).append((move.depart_min, places.name("pickup", move.pickup), move.arrive_min))
    for visit in world.visits:
        ways = legs.setdefault(visit.partner, [])
        ways.append((visit.depart_min, places.name("pickup", visit.pickup), visit.arrive_min))
        depart_min = visit.goods_min + scenario.day.pickup_service_min / 2
        for order, drop_min in zip(visit.orders, visit.drops_min, strict=True):
            ways.append((depart_min, places.name("order", order), drop_min - half))
            depart_min = drop_min + half
    rows: list[tuple[str, ...]] = []
    for partner in sorted(legs):
        here = places.name("partner", partner)
        for depart_min, there, arrive_min in sorted(legs[partner], key=lambda leg: leg[0]):
            rows.append((scenario.partner_ids[partner], number(depart_min), here, there, number(arrive_min)))
            here = there
    return rows


def _window(window: Window, timings: bool) -> tuple[str, ...]:
    return (
        number(window.at_min), str(window.orders), str(window.partners), str(window.edges),
        f"{window.cost:.6f}", f"{window.lower_bound:.6f}", f"{window.solve_ms if timings else 0:.3f}",
    )  # fmt: skip


def summarize(scenario: Scenario, world: World) -> dict[str, Any]:
    """Return the summary of a run."""
    day = scenario.day
    n = len(scenario.order_ids)
    drop, goods, by = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
    distance_m = sum(
        float(day.distance_m(start, day.pickup_place[pickup])) for start, pickup in _approaches(scenario, world)
    )
    for visit in world.visits:
        drop[visit.orders], goods[visit.orders], by[visit.orders] = visit.drops_min, visit.goods_min, visit.partner
        stops = np.concatenate([day.pickup_place[[visit.pickup]], day.drop_place[visit.orders]])
        distance_m += float(day.distance_m(stops[:-1], stops[1:]).sum())
    return measures(scenario, drop, goods, by, len(world.visits), distance_m)


def delivered_by(world: World) -> Floats:
    """Return (n,) when each order was dropped, NaN where never or too late to count."""
    drop = np.full(len(world.day.placed_min), np.nan)
    for visit in world.visits:
        drop[visit.orders] = visit.drops_min
    return np.where(drop <= world.day.latest_min, drop, np.nan)


def shared_measures(day: Day, drops: Sequence[Floats]) -> list[dict[str, Any]]:
    """Return for each run, of which `drops` has the delivered_by, its times over the orders that all runs delivered.

    A mean over what one run delivered flatters the run that gives hard orders up; over the same orders it does not.
    """
    shared = np.isfinite(np.array(drops)).all(axis=0)
    return [
        {
            "shared_orders": int(shared.sum()),
            "shared_click_to_door_mean_min": mean((drop - day.placed_min)[shared]),
            "shared_lateness_mean_min": mean(np.maximum(0, drop - day.due_min)[shared]),
        }
        for drop in drops
    ]


def _approaches(scenario: Scenario, world: World) -> Iterable[tuple[Floats, int]]:
    """Yield where each way to a pickup begins, and the pickup."""
    day = scenario.day
    ways: dict[int, list[tuple[float, int, Floats]]] = {}
    for move in world.repositionings:
        ways.setdefault(move.partner, []).append((move.depart_min, move.pickup, day.pickup_place[move.pickup]))
    for visit in world.visits:
        ways.setdefault(visit.partner, []).append((visit.depart_min, visit.pickup, day.drop_place[visit.orders[-1]]))
    for partner in sorted(ways):
        here = day.start_place[partner]
        for _, pickup, there in sorted(ways[partner], key=lambda way: way[0]):
            yield here, pickup
            here = there


def measures(
    scenario: Scenario, drop: Floats, goods: Floats, by: Any, visits: int, distance_m: float
) -> dict[str, Any]:
    """Return summary.json: drop, goods (n,) minutes, NaN where never; by (n,) the partner, -1 where none."""
    day, settings = scenario.day, scenario.settings
    served = np.isfinite(drop)
    delivered = served & ~(np.where(served, drop, 0) > day.latest_min)
    click = (drop - day.placed_min)[delivered]
    late = np.maximum(0, drop - day.due_min)[delivered]
    # What is lost counts as brought at the last moment, so that giving hard orders up makes no mean better.
    counted = np.where(delivered, drop, day.latest_min)
    waited = (goods - day.ready_min)[delivered]
    hours = sum((_exact(off - on) / 60 for on, off in zip(day.on_min, day.off_min, strict=True)), Fraction())
    counts = np.bincount(by[delivered], minlength=len(scenario.partner_ids))
    pay = sum(
        max(int(count) * settings.pay_per_delivery_minor, _guarantee(settings.pay_guarantee_per_hour_minor, off - on))
        for count, on, off in zip(counts, day.on_min, day.off_min, strict=True)
    )
    done = int(delivered.sum())
    each = _ratio(pay, done)
    return {
        "orders": len(scenario.order_ids),
        "partners": len(scenario.partner_ids),
        "delivered": done,
        "undelivered": len(scenario.order_ids) - done,
        "click_to_door_mean_min": mean(click),
        "click_to_door_p50_min": _percentile(click, 50),
        "click_to_door_p90_min": _percentile(click, 90),
        "late": int((late > 0).sum()),
        "lateness_mean_min": mean(late),
        "lateness_total_min": round(float(late.sum()), 6),
        "lateness_p90_min": _percentile(late, 90),
        "lateness_max_min": round(float(late.max()), 6) if done else None,
        "every_order_click_to_door_mean_min": mean(counted - day.placed_min),
        "every_order_lateness_mean_min": mean(np.maximum(0, counted - day.due_min)),
        "ready_to_pickup_mean_min": mean(waited),
        "on_duty_hours": round(float(hours), 6),
        "deliveries_per_on_duty_hour": round(float(done / hours), 6) if hours else None,
        "pay_total_minor": pay,
        "pay_per_delivery_minor": None if each is None else round(float(each), 6),
        "pay_per_delivery_exact": None if each is None else str(each),
        "bundle_size_mean": round(int(served.sum()) / visits, 6) if visits else None,
        "visits": visits,
        "distance_m": round(distance_m, 3),
    }


def _exact(minutes: float) -> Fraction:
    """Return minutes as they are written: a file's 12.1 is 121/10."""
    return Fraction(repr(float(minutes)))


def _guarantee(per_hour_minor: int, minutes: float) -> int:
    """Return what a shift is guaranteed, to the nearest minor unit, halves up."""
    return int(_exact(minutes) / 60 * per_hour_minor + Fraction(1, 2))


def _ratio(total: int, parts: int) -> Fraction | None:
    return Fraction(total, parts) if parts else None


def mean(values: Floats) -> float | None:
    """Return the mean as it is written, None of nothing."""
    return round(float(values.mean()), 6) if len(values) else None


def _percentile(values: Floats, percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 6) if len(values) else None

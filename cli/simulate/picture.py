"""A picture of the day: how long orders took and how late they were, and how loaded the partners were."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cli.simulate.scenario import Scenario
from cli.simulate.world import World
from services.assignment.matching.horizon.day import Floats

PNG, SVG = "day.png", "day.svg"
BINS = 96
_RED, _BLUE, _GREY, _GREEN = "#c0392b", "#2c6fbb", "#999999", "#3a9a5b"


def draw(out: Path, scenario: Scenario, world: World, title: str) -> None:
    """Write day.png and day.svg into `out`; the same run gives the same bytes."""
    style: dict[Any, Any] = {
        "svg.hashsalt": "lastmile",
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 5), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _times(above, scenario, world)
        _load(below, scenario, world)
        above.set_title(title, loc="left", fontsize=9)
        figure.savefig(out / PNG, dpi=100, metadata={"Software": None})
        figure.savefig(out / SVG, metadata={"Date": None, "Creator": None})


def _edges_h(scenario: Scenario) -> Floats:
    day = scenario.day
    if not len(day.placed_min):
        return np.linspace(0.0, 24.0, BINS + 1)
    return np.linspace(float(day.placed_min.min()), float(day.placed_min.max()) + 90, BINS + 1) / 60


def _times(axes: Axes, scenario: Scenario, world: World) -> None:
    day, edges = scenario.day, _edges_h(scenario)
    drop = np.full(len(day.placed_min), np.nan)
    for visit in world.visits:
        drop[visit.orders] = visit.drops_min
    bins = np.digitize(day.placed_min / 60, edges) - 1
    middle = (edges[:-1] + edges[1:]) / 2
    rows = [np.flatnonzero((bins == place) & np.isfinite(drop)) for place in range(BINS)]
    shown = [place for place in range(BINS) if len(rows[place])]
    click = [(drop - day.placed_min)[rows[place]] for place in shown]
    late = [np.maximum(0, drop - day.due_min)[rows[place]].mean() for place in shown]
    at = middle[shown]
    axes.fill_between(
        at, [np.percentile(c, 10) for c in click], [np.percentile(c, 90) for c in click], color=_BLUE, alpha=0.2, lw=0,
        label="click to door, middle 80 %",
    )  # fmt: skip
    axes.plot(at, [np.median(c) for c in click], color=_BLUE, lw=1.2, label="click to door, median")
    axes.bar(at, late, width=edges[1] - edges[0], color=_RED, alpha=0.8, label="lateness, mean")
    lost = ~np.isfinite(drop)
    axes.plot(day.placed_min[lost] / 60, np.zeros(int(lost.sum())), "x", color="black", ms=4, label="never delivered")
    axes.axhline(scenario.settings.service_target_min, color=_GREY, lw=0.8, ls="--", label="target")
    axes.set_ylabel("minutes")
    axes.set_ylim(bottom=-1)
    axes.legend(fontsize=7, frameon=False, ncols=3, loc="upper left")


def _load(axes: Axes, scenario: Scenario, world: World) -> None:
    day, edges = scenario.day, _edges_h(scenario) * 60
    at = np.linspace(edges[0], edges[-1], 6 * BINS + 1)
    left = np.where(np.isnan(world.decided_min), day.latest_min, world.decided_min)
    trips = np.array([(visit.depart_min, visit.end_min) for visit in world.visits]).reshape(-1, 2)
    for begins, ends, color, label in (
        (day.on_min, day.off_min, _GREY, "partners on duty"),
        (trips[:, 0], trips[:, 1], _GREEN, "partners at work"),
        (day.placed_min, left, _RED, "orders waiting for a partner"),
    ):
        count = np.searchsorted(np.sort(begins), at, "right") - np.searchsorted(np.sort(ends), at, "right")
        axes.step(at / 60, count, where="post", color=color, lw=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hour of the day")
    axes.set_ylabel("count")
    axes.legend(fontsize=7, frameon=False, ncols=3, loc="upper left")

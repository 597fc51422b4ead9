"""What the dispatch policies do on real and made-up days: checks every run, renews docs/simulation.md and its pictures.

`make bench NAME=simulate` takes a quarter of an hour on two cores, and needs the real data in ../shared/data;
`python scripts/bench.py simulate TABLE ...` renews some of the tables.
"""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cli.simulate.checker import SLACK_MIN, Checker
from cli.simulate.convert import convert_lade, convert_rappi, thin_out
from cli.simulate.floor import floor_measures, soonest_drops
from cli.simulate.outputs import delivered_by, shared_measures, write_outputs
from cli.simulate.picture import PNG, SVG, draw
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from services.assignment.matching.horizon.day import Day, Floats
from tests.benchmarks.made_up_days import HELD_OUT, TUNING, write_day
from tests.benchmarks.report import Row, report

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "simulation.md"
PROCESSES = 2
MEASURES = {
    "undelivered": "undelivered",
    "click_to_door_mean_min": "mean click to door",
    "lateness_mean_min": "mean lateness",
}
SHARES = {"": 1.0, ", half": 0.5, ", a tenth": 0.1}
PICTURES = {
    ("rappi 20", PolicyName.SHIPPED): "rappi-20",
    ("LaDe, September", PolicyName.SHIPPED): "lade",
    ("rappi 4, a tenth", PolicyName.SHIPPED): "rappi-4-tenth",
    ("rappi 4, a tenth", PolicyName.PLAIN): "rappi-4-tenth-plain",
}
HEADER = (
    "scenario", "policy", "undelivered", "click to door", "p90", "lateness", "every order: click to door", "lateness ",
    "where all deliver: click to door", "lateness  ", "ready to pickup", "orders a visit", "km", "CPU s",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One row: findings of the checker, cpu_s of the simulation alone, drop_min (n,) as of delivered_by."""

    scenario: str
    policy: PolicyName
    summary: dict[str, Any]
    findings: list[str]
    cpu_s: float
    day: Day
    drop_min: Floats


def days() -> dict[str, dict[str, Callable[[Path], Any]]]:
    """Return the scenarios by table, each as what writes it into a folder."""
    lade = REAL / "lade-jilin" / "delivery_jl.parquet"
    weeks = {"LaDe, September": 907, "LaDe, August": 810}
    rappi = {f"rappi {day}": partial(convert_rappi, REAL / "rappi" / str(day)) for day in (16, 4, 15, 20)}
    tenth = {"rappi 20, a tenth": partial(_write_share, rappi["rappi 20"], 0.1)}
    return {
        "meals": dict(_thinned({name: rappi[name] for name in ("rappi 16", "rappi 4", "rappi 15")}, SHARES)),
        "large": dict(_thinned({"rappi 20": rappi["rappi 20"]}, {"": 1.0, ", half": 0.5})),
        "parcels": dict(
            _thinned(
                {name: partial(convert_lade, lade, first_day=first, days=7) for name, first in weeks.items()},
                {"": 1.0, ", half": 0.5},
            )
        ),
        "tuning": {name: partial(write_day, day=day) for name, day in TUNING.items()},
        "held-out": {name: partial(write_day, day=day) for name, day in HELD_OUT.items()},
        "overloaded": tenth,
    }


def _thinned(
    whole: dict[str, Callable[[Path], Any]], shares: dict[str, float]
) -> Iterator[tuple[str, Callable[[Path], Any]]]:
    for name, write in whole.items():
        for suffix, share in shares.items():
            yield name + suffix, partial(_write_share, write, share)


def _write_share(write: Callable[[Path], Any], share: float, folder: Path) -> None:
    write(folder)
    if share < 1:
        whole = folder / "whole"
        write(whole)
        thin_out(whole, folder, share, seed=1)
        shutil.rmtree(whole)


def run(name: str, write: Callable[[Path], Any], policy: PolicyName, pictures: Path) -> Run:
    """Simulate, write, check, and draw where a picture is wanted; nobody may have passed what nobody can pass."""
    with TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        write(source)
        scenario = read_scenario(source)
        started_s = time.process_time()
        world = simulate(scenario, policy)
        cpu_s = time.process_time() - started_s
        summary = write_outputs(out, source, scenario, world, timings=False)
        picture = PICTURES.get((name, policy))
        if picture:
            draw(out, scenario, world, f"{name}, {policy}: {summary['delivered']} of {summary['orders']} delivered")
            for file in (PNG, SVG):
                shutil.copyfile(out / file, (pictures / picture).with_suffix(Path(file).suffix))
        findings, drops = Checker(out).findings, delivered_by(world)
        if (drops < soonest_drops(scenario.day) - SLACK_MIN).any():
            findings.append("an order was dropped before anyone could have dropped it")
        return Run(name, policy, summary, findings, cpu_s, scenario.day, drops)


def table_of(scenarios: list[list[Run]]) -> str:
    """Return the table of some scenarios' runs."""
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|" + "---:|" * (len(HEADER) - 2)]
    for runs in scenarios:
        shared = shared_measures(runs[0].day, [one.drop_min for one in runs])
        for one, common in zip(runs, shared, strict=True):
            found = one.summary
            cells = (
                f"{one.scenario}: {found['partners']:,} partners" if one is runs[0] else "", one.policy,
                f"{found['undelivered']:,} of {found['orders']:,}", f"{found['click_to_door_mean_min']:.2f}",
                f"{found['click_to_door_p90_min']:.1f}", f"{found['lateness_mean_min']:.3f}",
                f"{found['every_order_click_to_door_mean_min']:.2f}",
                f"{found['every_order_lateness_mean_min']:.3f}",
                f"{common['shared_click_to_door_mean_min']:.2f}", f"{common['shared_lateness_mean_min']:.3f}",
                f"{found['ready_to_pickup_mean_min']:.2f}", f"{found['bundle_size_mean']:.2f}",
                f"{found['distance_m'] / 1000:,.0f}", f"{one.cpu_s:.1f}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
        floor = floor_measures(runs[0].day)
        cells = (
            "", "nobody below", f"{floor['undelivered']:,}", f"{floor['click_to_door_mean_min']:.2f}", "",
            f"{floor['lateness_mean_min']:.3f}", f"{floor['every_order_click_to_door_mean_min']:.2f}",
            f"{floor['every_order_lateness_mean_min']:.3f}", *[""] * (len(HEADER) - 8),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def worse(runs: list[Run]) -> list[str]:
    """Return where the shipped policy is worse than a baseline of the same scenario; a tie is not."""
    (shipped,) = (one for one in runs if one.policy == PolicyName.SHIPPED)
    return [
        f"{shipped.scenario}: {what} {shipped.summary[measure]:g}, {one.policy} {one.summary[measure]:g}"
        for measure, what in MEASURES.items()
        for one in runs
        if shipped.summary[measure] > one.summary[measure]
    ]


def above_floor(runs: list[Run]) -> str:
    """Return how far the shipped policy is above what nobody can pass, in the three measures."""
    (shipped,) = (one.summary for one in runs if one.policy == PolicyName.SHIPPED)
    floor = floor_measures(runs[0].day)
    lost, door, late = (shipped[measure] - floor[measure] for measure in MEASURES)
    return f"{runs[0].scenario}: {lost} orders, {door:.3f} and {late:.3f} min"


def renew(text: str, parts: dict[str, str]) -> str:
    """Return a page with what lies between each part's `<!-- name -->` and `<!-- end -->` replaced."""
    for name, part in parts.items():
        between = re.compile(rf"(?s)<!-- {name} -->\n.*?<!-- end -->")
        if len(between.findall(text)) != 1:
            raise ValueError(f"{PAGE} has not one place for {name}")
        text = between.sub(lambda _, put=f"<!-- {name} -->\n{part}\n<!-- end -->": put, text)
    return text


def main() -> int:
    """Run the named tables, or all; 1 where the checker found something, 2 where there is no data or no such table."""
    tables = days()
    wanted = sys.argv[1:] or list(tables)
    if not REAL.is_dir() or not set(wanted) <= set(tables):
        print(f"the tables are {', '.join(tables)}; the real data is looked for in {REAL}", file=sys.stderr)
        return 2
    rows, findings = list[Row](), list[str]()
    with ProcessPoolExecutor(PROCESSES) as pool:
        futures = {
            table: [
                [pool.submit(run, name, write, policy, PAGE.parent / "simulation") for policy in PolicyName]
                for name, write in tables[table].items()
            ]
            for table in wanted
        }
        for table, scenarios in futures.items():
            done = [[one.result() for one in runs] for runs in scenarios]
            behind = [line for runs in done for line in worse(runs)]
            verdict = "\n".join(f"- {line}" for line in behind) or "- nowhere"
            floors = "\n".join(f"- {above_floor(runs)}" for runs in done)
            part = (
                f"{table_of(done)}\n\nWhere the shipped policy is behind, over what each delivered:\n\n{verdict}"
                f"\n\nHow far it is above what nobody can pass (undelivered, click to door, lateness):\n\n{floors}"
            )
            PAGE.write_text(renew(PAGE.read_text(encoding="utf-8"), {table: part}), encoding="utf-8")
            found = [f"{one.scenario}, {one.policy}: {line}" for runs in done for one in runs for line in one.findings]
            count = sum(map(len, done))
            rows += [
                Row(
                    f"{table}: runs that the checker found right", count - len({f.split(":")[0] for f in found}), "runs"
                ),
                Row(f"{table}: comparisons that shipped loses", len(behind), f"of {2 * len(MEASURES) * len(done)}"),
                Row(f"{table}: shipped, longest", max(runs[-1].cpu_s for runs in done), "CPU s"),
            ]
            findings += found
    report("simulate", rows)
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

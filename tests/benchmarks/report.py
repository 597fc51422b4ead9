"""What a benchmark leaves behind: a table for people, and build/bench/<name>.json for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


@dataclass(frozen=True)
class Row:
    """One figure beside its peer's; `ratio` above 1 means ahead of the peer, None that there is no peer."""

    metric: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None


def higher(metric: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    """A figure that is better when higher."""
    return Row(metric, value, unit, peer, peer_value, value / peer_value)


def lower(metric: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    """A figure that is better when lower."""
    return Row(metric, value, unit, peer, peer_value, peer_value / value)


def report(name: str, rows: Sequence[Row]) -> None:
    """Print the table and write the file."""
    table = Table(title=f"bench {name}")
    for column in ("metric", "value", "unit", "peer", "peer value", "ratio"):
        table.add_column(column, justify="left" if column in {"metric", "unit", "peer"} else "right")
    for row in rows:
        shown = [f"{x:,.2f}" if x is not None else "" for x in (row.value, row.peer_value, row.ratio)]
        table.add_row(row.metric, shown[0], row.unit, row.peer, shown[1], shown[2])
    Console(width=120).print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print(f"written to {path.relative_to(FOLDER.parents[1])}")

"""A statement's plan as PostgreSQL ran it: what it read, and where."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg

# A table of so many rows may be read whole.
SMALL_ROWS_MAX = 1_000
# PostgreSQL plans a prepared statement so often for its values before it compares that with a plan for any values.
CUSTOM_PLANS = 5
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows` read from tables, with those filtered out, or compared in vain; the larger tables read whole; most
    partitions of a table."""

    rows: float
    scanned_whole: tuple[str, ...]
    indexes: frozenset[str]
    weeks: int
    milliseconds: float
    text: str


class Mode(StrEnum):
    """How a prepared statement gets its plan: for the values, for any values, or as PostgreSQL decides in the end."""

    CUSTOM = "force_custom_plan"
    GENERIC = "force_generic_plan"
    SETTLED = "auto"


async def explain(connection: asyncpg.Connection, statement: str, values: Sequence[object], mode: Mode) -> Plan:
    """Run a prepared statement with these values; return what its plan did."""
    await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
    # Each its own name: a statement that fails ends the transaction, and stays prepared.
    name = f"looked_at_{next(_numbers)}"
    await connection.execute(f"PREPARE {name} AS {statement}")
    arguments = f"({', '.join(_literal(value) for value in values)})" if values else ""
    if mode is Mode.SETTLED:
        for _ in range(CUSTOM_PLANS):
            await connection.fetch(f"EXPLAIN EXECUTE {name}{arguments}")
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{arguments}")
    return await _plan_of(connection, json.loads(found)[0])


async def _plan_of(connection: asyncpg.Connection, found: dict[str, Any]) -> Plan:
    scans = [node for node in _nodes(found["Plan"]) if "Relation Name" in node and "Scan" in node["Node Type"]]
    run = [node for node in scans if node["Actual Loops"] > 0]
    sizes = await connection.fetch(
        "SELECT relname, reltuples FROM pg_class WHERE relname = ANY ($1::text[]) AND relkind = 'r'",
        [node["Relation Name"] for node in run],
    )
    large = {row["relname"] for row in sizes if row["reltuples"] > SMALL_ROWS_MAX}
    weeks: dict[str, set[str]] = defaultdict(set)
    for node in run:
        weeks[node["Relation Name"].rpartition("_")[0]].add(node["Relation Name"])
    return Plan(
        rows=sum(_rows_read(node) for node in run) + sum(_rows_compared(node) for node in _nodes(found["Plan"])),
        scanned_whole=tuple(sorted({node["Relation Name"] for node in run if _is_whole(node)} & large)),
        indexes=frozenset(node["Index Name"] for node in _nodes(found["Plan"]) if "Index Name" in node),
        weeks=max(map(len, weeks.values()), default=0),
        milliseconds=found["Execution Time"],
        text=json.dumps(found, indent=1),
    )


def _is_whole(node: dict[str, Any]) -> bool:
    return bool(node["Node Type"] == "Seq Scan")


def _rows_read(node: dict[str, Any]) -> float:
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    return float(node["Actual Loops"] * (node["Actual Rows"] + sum(node.get(name, 0) for name in removed)))


def _rows_compared(node: dict[str, Any]) -> float:
    """What a loop in a loop looks at in vain: what a statement has made itself costs nothing to read once, but over and
    over."""
    if node["Node Type"] == "CTE Scan" and node["Actual Loops"] > 1:
        return _rows_read(node)
    return float(node["Actual Loops"] * node.get("Rows Removed by Join Filter", 0))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _literal(value: object) -> str:
    text = _text_of(value)
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def _text_of(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        elements = (_text_of(element) for element in value)
        return "{" + ",".join("NULL" if text is None else _quoted(text) for text in elements) + "}"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

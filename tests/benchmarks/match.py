"""Import of a real day (rappi 20: 13,076 orders, 4,905 couriers) until every order is assigned or has a reason."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from libs.embedded.stack import RunningStack
from tests.benchmarks.report import Row, higher, report
from tests.import_data import write_day
from tests.invariants import broken_invariants

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "rappi" / "20"
FIGURES = """
SELECT count(*) AS windows, sum(deliveries) AS deliveries, sum(assigned) AS assigned, sum(conflicts) AS conflicts,
  sum(build_ms) AS build_ms, sum(solve_ms) AS solve_ms, sum(commit_ms) AS commit_ms
FROM assignment.windows WHERE city_code = $1
"""


async def figures(stack: RunningStack, city_code: str) -> asyncpg.Record:
    connection = await asyncpg.connect(stack.dsn())
    try:
        broken = await broken_invariants(stack.dsn())
        assert not broken, broken
        return await connection.fetchrow(FIGURES, city_code)
    finally:
        await connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder) / "home") as stack:
        day = REAL
        if not day.is_dir():
            print("the real day is not beside this checkout: a synthetic one of its size stands in", file=sys.stderr)
            day = write_day(Path(folder) / "day", 13_076, 4_905)
        known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
        command = [sys.executable, "-m", "cli", "import", "rappi", str(day), "--json"]
        started_s = time.monotonic()
        done = subprocess.run(
            command, check=True, env=stack.environment | known, stdout=subprocess.PIPE, text=True, cwd=folder
        )
        elapsed_s = time.monotonic() - started_s
        summary = json.loads(done.stdout)
        row = asyncio.run(figures(stack, summary["city_code"]))
    assert not summary["undecided"]
    taken = sum(summary["states"].values())
    upload_s, matched_s = summary["upload_s"], summary["matched_s"]
    report(
        "match",
        [
            Row("orders taken in", taken, "deliveries"),
            Row("assigned", summary["states"].get("assigned", 0), "deliveries"),
            Row("with a reason instead", sum(summary["unassigned_reasons"].values()), "deliveries"),
            higher(
                "import to all assigned or reasoned",
                taken / matched_s,
                "deliveries/s",
                "upload alone",
                taken / upload_s,
            ),
            Row("whole command", elapsed_s, "s"),
            Row("windows", row["windows"], "windows"),
            Row("build", row["build_ms"] / 1000, "s"),
            Row("solve", row["solve_ms"] / 1000, "s"),
            Row("commit", row["commit_ms"] / 1000, "s"),
            Row("solve", row["deliveries"] / row["solve_ms"] * 1000, "deliveries/s"),
            higher(
                "commit",
                row["assigned"] / row["commit_ms"] * 1000,
                "deliveries/s",
                "solve",
                row["deliveries"] / row["solve_ms"] * 1000,
            ),
        ],
    )


if __name__ == "__main__":
    main()

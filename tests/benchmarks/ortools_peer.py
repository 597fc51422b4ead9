"""OR-tools' SimpleMinCostFlow as a peer, in an environment of its own: its protobuf is not ours."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from services.assignment.matching.assignment import Graph

ROOT = Path(__file__).resolve().parents[2]
LOCK, FOLDER = ROOT / "requirements" / "bench.lock", ROOT / "build" / "bench" / "ortools"
# What runs in that environment: reads the graph, solves it, and prints the seconds of the solve and the optimum.
PROGRAM = """
import json, sys, time
import numpy as np
from ortools.graph.python import min_cost_flow
given = np.load(sys.argv[1])
package, partner, cost, slots, n = (given[k] for k in ("package", "partner", "cost_ms", "slots", "packages"))
n, m = int(n), len(slots)
flow = min_cost_flow.SimpleMinCostFlow()
tails = np.concatenate([np.full(n, n + m), package, n + np.arange(m)])
heads = np.concatenate([np.arange(n), n + partner, np.full(m, n + m + 1)])
capacity = np.concatenate([np.ones(n + len(package), dtype=np.int64), slots])
costs = np.concatenate([np.zeros(n, dtype=np.int64), cost, np.zeros(m, dtype=np.int64)])
started = time.perf_counter()
flow.add_arcs_with_capacity_and_unit_cost(tails, heads, capacity, costs)
flow.set_nodes_supplies(np.array([n + m, n + m + 1]), np.array([n, -n]))
status = flow.solve()
seconds = time.perf_counter() - started
assert status == flow.OPTIMAL, status
print(json.dumps({"seconds": seconds, "cost_ms": flow.optimal_cost()}))
"""


def flow_of(graph: Graph, folder: Path) -> dict[str, float]:
    """Return the seconds that OR-tools takes for a graph whose packages can all be served, and its optimum."""
    file = folder / "graph.npz"
    np.savez(
        file,
        package=graph.package,
        partner=graph.partner,
        cost_ms=graph.cost_ms.astype(np.int64),
        slots=graph.slots,
        packages=len(graph.left_out_ms),
    )
    done = subprocess.run([str(_python()), "-c", PROGRAM, str(file)], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _python() -> Path:
    """The environment's Python; makes the environment first when there is none for this lock."""
    python, ready = FOLDER / "bin" / "python", FOLDER / "lock"
    if not ready.exists() or ready.read_bytes() != LOCK.read_bytes():
        print(f"installing {LOCK.name} into {FOLDER.relative_to(ROOT)}", file=sys.stderr)
        venv.create(FOLDER, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCK)]
        subprocess.run(command, check=True)
        ready.write_bytes(LOCK.read_bytes())
    return python

"""OR-tools' SimpleMinCostFlow as a peer, in an environment of its own: its protobuf is not ours."""

import json
import subprocess
from pathlib import Path

import numpy as np

from services.assignment.matching.assignment import Graph
from tests.benchmarks.peers import peer_python

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
    done = subprocess.run(
        [str(peer_python("bench", "ortools")), "-c", PROGRAM, str(file)], check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result

"""Run one benchmark of tests/benchmarks: `python scripts/bench.py NAME`; without NAME, list them."""

import ast
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "tests" / "benchmarks"


def available() -> dict[str, str]:
    """Return the benchmarks by name, each with the first line of its docstring."""
    found = {}
    for path in sorted(BENCHMARKS.glob("[!_]*.py")):
        module = ast.parse(path.read_text())
        runnable = any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in module.body)
        if runnable:
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def main() -> int:
    """Run the named benchmark in this process, or list them; 2 when there is none of that name."""
    benchmarks = available()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in benchmarks:
        sys.argv = [name, *sys.argv[2:]]
        sys.path.insert(0, str(ROOT))
        runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__", alter_sys=True)
        return 0
    print(f"no benchmark named {name!r}." if name else "Choose a benchmark: make bench NAME=...", file=sys.stderr)
    for known, summary in benchmarks.items():
        print(f"  {known:<12} {summary}", file=sys.stderr)
    return 2 if name else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run every check that needs no server: `python scripts/check.py [NAME...]`. All run, even after one has failed."""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = sys.executable

# Longest first, so that the short ones fill the other cores.
CHECKS: dict[str, list[str]] = {
    "mypy": [str(BIN / "mypy"), "cli", "libs", "services", "scripts"],
    "tidy": [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "tests/unit/test_tidy.py"],
    "proto": [PYTHON, "scripts/proto.py", "--check"],
    "lifecycle": [PYTHON, "scripts/lifecycle.py", "--check"],
    "asyncapi": [PYTHON, "scripts/asyncapi.py", "--check"],
    "papers": [PYTHON, "scripts/papers.py", "--check"],
    "imports": [str(BIN / "lint-imports"), "--no-logo"],
    "ruff": [str(BIN / "ruff"), "check", "."],
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "buf-lint": [str(BIN / "buf"), "lint"],
    "buf-format": [str(BIN / "buf"), "format", "--diff", "--exit-code", "protos"],
    "buf-breaking": [str(BIN / "buf"), "breaking", "protos", "--against", "protos/released.binpb"],
    "locks": [PYTHON, "scripts/locks.py", "--check"],
}


def run(name: str) -> tuple[str, bool, str, float]:
    """Run one check; return its name, whether it passed, what it printed, and how many seconds it took."""
    started = time.monotonic()
    # buf keeps a cache; the checkout is the only place that we write to.
    environment = os.environ | {"BUF_CACHE_DIR": str(ROOT / "build" / "buf-cache"), "PYTHONPATH": str(ROOT)}
    result = subprocess.run(  # noqa: S603 - our own arguments
        CHECKS[name],
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return name, result.returncode == 0, result.stdout, time.monotonic() - started


def main() -> int:
    """Run the named checks, or all; return 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(CHECKS)}")
    names = parser.parse_args().names or list(CHECKS)
    if unknown := set(names) - set(CHECKS):
        parser.error(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    failed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for done in as_completed([pool.submit(run, name) for name in names]):
            name, passed, output, seconds = done.result()
            print(f"{'ok' if passed else 'FAILED':<7} {name} ({seconds:.1f} s)", flush=True)
            if not passed:
                failed.append(name)
                print(output.rstrip(), flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}. Run one again with: make check ARGS={failed[0]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

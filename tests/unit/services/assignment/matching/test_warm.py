"""A process that is warm compiles nothing more."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[5]
# Says which loops have been compiled for what, before and after a match unlike the one that warms.
PROGRAM = """
import gc
from services.assignment.matching.match import match
from services.assignment.matching.warm import warm
from tests.benchmarks.geography import city_window

def compiled():
    # What is frozen is not listed.
    gc.unfreeze()
    kinds = [one for one in gc.get_objects() if type(one).__name__ == "CPUDispatcher"]
    return {(one.py_func.__module__, one.__name__, str(s)) for one in kinds for s in one.signatures}

warm()
before = compiled()
match(city_window(1, 60, 400))
print(len(before), sorted(compiled() - before))
"""


def test_a_match_after_warming_compiles_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=280, check=True
    )
    count, new = done.stdout.split(maxsplit=1)
    assert int(count) > 0
    assert new.strip() == "[]"

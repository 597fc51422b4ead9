"""What was compiled is kept for as long as it is true, and done without where it cannot be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import services.assignment.matching.compiled as compiled_module

LOOPS = {
    "__init__": "",
    "rates": "RATE = 2",
    "parts": """
from loops.compiled import compiled
from loops.rates import RATE

@compiled
def part(number: int) -> int:
    return RATE * number
""",
    "whole": """
from loops.compiled import compiled
from loops.parts import part

@compiled
def whole(number: int) -> int:
    return part(number) + 1

print(whole(10), sum(whole.stats.cache_hits.values()))
""",
}


def _written(folder: Path) -> Path:
    loops = folder / "loops"
    loops.mkdir()
    for name, source in LOOPS.items():
        (loops / f"{name}.py").write_text(source)
    shutil.copy(compiled_module.__file__, loops / "compiled.py")
    return loops


def _run(folder: Path, environment: dict[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    command = [sys.executable, "-B", "-W", "ignore::RuntimeWarning", "-c", "import loops.whole"]
    done = subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_change_of_whatever_a_loop_uses_compiles_it_anew(tmp_path: Path) -> None:
    loops, environment = _written(tmp_path), {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    assert _run(tmp_path, environment) == "21 0"
    assert _run(tmp_path, environment) == "21 1"
    (loops / "rates.py").write_text("RATE = 3")
    assert _run(tmp_path, environment) == "31 0"
    assert _run(tmp_path, environment) == "31 1"


def test_where_nothing_can_be_kept_each_process_compiles(tmp_path: Path) -> None:
    # Files in the place of folders: whoever may write anywhere cannot write into these.
    (_written(tmp_path) / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    assert _run(tmp_path, {"HOME": str(home), "XDG_CACHE_HOME": str(home)}) == "21 0"


def test_what_was_compiled_is_kept_beside_the_source(tmp_path: Path) -> None:
    loops = _written(tmp_path)
    _run(tmp_path, {})
    assert {file.name.split("-")[0] for file in (loops / "__pycache__").glob("*.nbi")} == {"parts.part", "whole.whole"}

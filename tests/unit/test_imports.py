"""The import rules of pyproject.toml do refuse what they say they refuse."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT_S_MAX = 60


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a tree, whose packages come before those of the checkout."""
    lint_imports = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [lint_imports, "--no-cache"], cwd=tree, check=False, capture_output=True, text=True, timeout=IMPORT_S_MAX
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of our sources and of the rules."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for package in ("cli", "libs", "services"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.fixture
def tree(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may break."""
    return shutil.copytree(pristine, tmp_path / "tree")


def test_the_sources_as_they_are_keep_every_rule(pristine: Path) -> None:
    result = lint(pristine)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("path", "line", "rule"),
    [
        ("services/neighbour/app.py", "import services.assignment.errors", "Services never import one another"),
        ("services/assignment/intruder.py", "import services.neighbour.errors", "Services never import one another"),
        ("libs/ids/intruder.py", "import services.assignment.errors", "Libs never import services"),
        ("libs/ids/intruder.py", "import cli.main", "Libs never import services"),
        ("cli/intruder.py", "import services.assignment.errors", "it imports no service"),
        ("cli/intruder.py", "import services.assignment.matching.assignment", "it imports no service"),
        ("cli/simulate/intruder.py", "import services.assignment.errors", "it imports no service"),
        ("services/assignment/intruder.py", "import libs.embedded.settings", "the one-machine platform"),
        ("services/neighbour/matching/cost.py", "import asyncpg", "Pure modules do no I/O"),
        ("services/neighbour/matching/rules/far.py", "import libs.grpc_server.errors", "Pure modules do no I/O"),
        ("services/assignment/matching/horizon/intruder.py", "import random", "Pure modules do no I/O"),
        ("services/neighbour/ledger/postings.py", "import asyncpg", "Pure modules do no I/O"),
        ("services/neighbour/runs/lifecycle.py", "import asyncio", "Pure modules do no I/O"),
        ("services/neighbour/runs/store.py", "from lastmile.common.v1 import geo_pb2", "Only servicers, clients"),
    ],
)
def test_a_bad_import_is_refused(tree: Path, path: str, line: str, rule: str) -> None:
    (tree / "services" / "neighbour").mkdir()
    (tree / "services" / "neighbour" / "errors.py").touch()
    bad = tree / path
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_text(f"{line}\n")
    result = lint(tree)
    assert result.returncode != 0
    assert rule in result.stdout.partition("Broken contracts")[2]
    assert "1 broken." in result.stdout

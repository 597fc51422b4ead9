"""A change that would break a client of the released contracts is refused, and an addition is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.check import CHECKS

ROOT = Path(__file__).resolve().parents[2]
BUF_S_MAX = 60


def buf(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run buf on a tree."""
    command = [Path(sys.executable).parent / "buf", *arguments]
    environment = os.environ | {"BUF_CACHE_DIR": str(tree / "cache")}
    return subprocess.run(
        command, cwd=tree, env=environment, check=False, capture_output=True, text=True, timeout=BUF_S_MAX
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the contracts that a test may change, released as they are."""
    for name in ("protos", "third_party"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    assert buf(tmp_path, "build", "protos", "--output", "protos/released.binpb").returncode == 0
    return tmp_path


def breaking(tree: Path) -> subprocess.CompletedProcess[str]:
    """Compare the contracts of a tree with the released ones, as `make check` does."""
    _program, *arguments = CHECKS["buf-breaking"]
    return buf(tree, *arguments)


def change(tree: Path, file: str, old: str, new: str) -> None:
    path = tree / "protos" / "lastmile" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("common/v1/money.proto", "int64 amount_minor = 2", "int64 amount = 2"),
        ("common/v1/money.proto", "int64 amount_minor = 2", "int64 amount_minor = 3"),
        ("common/v1/money.proto", "int64 amount_minor = 2", "double amount_minor = 2"),
        ("assignment/v1/city.proto", "rpc GetCity(", "rpc FetchCity("),
    ],
)
def test_a_breaking_change_is_refused(tree: Path, file: str, old: str, new: str) -> None:
    change(tree, file, old, new)
    result = breaking(tree)
    assert result.returncode != 0
    assert file in result.stdout


def test_an_added_field_is_allowed(tree: Path) -> None:
    change(
        tree, "assignment/v1/city.proto", "message GetCityResponse {", "message GetCityResponse {\n  string note = 99;"
    )
    result = breaking(tree)
    assert result.returncode == 0, result.stdout

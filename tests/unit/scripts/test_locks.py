"""The check of the locks finds what does not fit, without asking any index."""

import shutil
from pathlib import Path

import pytest

from scripts import locks


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the locks that a test may break."""
    copy = shutil.copytree(locks.REQUIREMENTS, tmp_path / "requirements")
    monkeypatch.setattr(locks, "REQUIREMENTS", copy)
    return copy


@pytest.mark.parametrize(("name", "extras"), locks.LOCKS.items())
def test_every_lock_fits_pyproject(name: str, extras: tuple[str, ...] | None) -> None:
    assert locks.problems(name, extras) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("asyncpg==", "another==", "lacks asyncpg"),
        ("redis==", "redis==0.", "is not redis>="),
        ("redis==", "redis==99.", "differs from dev.lock"),
        ("asyncpg==", "--index-url https://mirror.example/simple\nasyncpg==", "names a place to install from"),
        ("--hash=sha256:", "--hash=md5:", "no hash for"),
    ],
)
def test_a_lock_that_does_not_fit_is_named(requirements: Path, old: str, new: str, problem: str) -> None:
    lock = requirements / "assignment.lock"
    lock.write_text(lock.read_text().replace(old, new))
    assert any(problem in found for found in locks.problems("assignment", ("assignment",)))

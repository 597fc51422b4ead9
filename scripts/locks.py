"""Pin pyproject's dependencies with hashes into requirements/: `python scripts/locks.py [--check] [--upgrade]`.

dev.lock holds everything and is what `make setup` installs; each image installs the lock of its own service, whose
pins are those of dev.lock. No lock names a host: where packages come from is the reader's configuration.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
# Lock -> the extras that it holds besides the common dependencies; None means all of them.
LOCKS: dict[str, tuple[str, ...] | None] = {
    "dev": None,
    "assignment": ("assignment",),
    "gateway": ("gateway",),
    "notification": ("notification",),
    "relay": ("relay",),
    "reconciliation": ("reconciliation",),
    "cli": ("cli", "embedded"),
}
# Locks of environments of their own: what a peer asks for does not go together with what we ask for.
STANDALONE: dict[str, tuple[str, ...]] = {
    "bench": ("ortools>=9.15",),
    "bench-queue": ("bullmq>=3.4", "httpx>=0.28", "aiohttp>=3.13"),
    "bench-papers": ("reportlab>=4.4",),
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_HOST = re.compile(r"://|^-{1,2}(?:i|index|extra-index|find-links)", re.MULTILINE)


def wanted(extras: tuple[str, ...] | None) -> list[Requirement]:
    """Return what pyproject asks for: the common dependencies and those of `extras`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    chosen = [text for name in (optional if extras is None else extras) for text in optional[name]]
    return [Requirement(text) for text in [*project["dependencies"], *chosen]]


def pins(lock: Path) -> dict[str, set[Version]]:
    """Return the lock's versions by package; a package has several where the Python version decides."""
    found: dict[str, set[Version]] = {}
    for name, version in _PIN.findall(lock.read_text()):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def problems(name: str, extras: tuple[str, ...] | None) -> list[str]:
    """Return what is wrong with one lock, without asking any index."""
    lock = REQUIREMENTS / f"{name}.lock"
    if not lock.exists():
        return [f"{lock.name} does not exist"]
    pinned, everything = pins(lock), pins(REQUIREMENTS / "dev.lock")
    found = []
    for requirement in wanted(extras):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        if not versions:
            found.append(f"{lock.name} lacks {requirement}")
        found += [f"{lock.name}: {v} is not {requirement}" for v in versions if v not in requirement.specifier]
    found += [f"{lock.name}: {name} differs from dev.lock" for name in pinned if pinned[name] != everything.get(name)]
    return found + unsafe(lock)


def standalone_problems(name: str, wanted_texts: Sequence[str]) -> list[str]:
    """Return what is wrong with a lock of an environment of its own."""
    lock, found = REQUIREMENTS / f"{name}.lock", []
    if not lock.exists():
        return [f"{lock.name} does not exist"]
    pinned = pins(lock)
    for requirement in map(Requirement, wanted_texts):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        if not versions or not all(version in requirement.specifier for version in versions):
            found.append(f"{lock.name} lacks {requirement}")
    return found + unsafe(lock)


def unsafe(lock: Path) -> list[str]:
    """Return where a lock names a place to install from, or lacks a hash."""
    found, text = [], lock.read_text()
    if _HOST.search(text):
        found.append(f"{lock.name} names a place to install from")
    entries = re.split(r"\n(?=\S)", text.strip())
    found += [f"{lock.name}: no hash for {entry.split()[0]}" for entry in entries if "--hash=sha256:" not in entry]
    return found


def compile_lock(name: str, extras: tuple[str, ...] | None, upgrade: bool) -> None:
    """Write one lock. dev comes first: the others take their versions from it."""
    chosen = ["--all-extras"] if extras is None else [f"--extra={extra}" for extra in extras]
    constraint = [] if extras is None else ["--constraint=requirements/dev.lock"]
    _compile(name, ["pyproject.toml", *chosen, *constraint], upgrade)


def compile_standalone(name: str, wanted_texts: Sequence[str], upgrade: bool) -> None:
    """Write the lock of an environment of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as asked:
        asked.writelines(f"{text}\n" for text in wanted_texts)
        asked.flush()
        _compile(name, [asked.name, "--python-version=3.11"], upgrade)


def _compile(name: str, arguments: list[str], upgrade: bool) -> None:
    command = [
        str(Path(sys.executable).parent / "uv"), "pip", "compile", *arguments, "--quiet", "--generate-hashes",
        "--universal", "--no-header", "--no-annotate", "--no-emit-index-url", "--only-binary=:all:",
        f"--output-file=requirements/{name}.lock",
    ]  # fmt: skip
    if upgrade:
        command.append("--upgrade")
    environment = {"UV_CACHE_DIR": "build/uv-cache", "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | environment)  # noqa: S603 - our own arguments


def main() -> int:
    """Write the locks, or with --check say what is wrong with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 when a lock does not fit pyproject"
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions instead of those locked now")
    arguments = parser.parse_args()
    if not arguments.check:
        REQUIREMENTS.mkdir(exist_ok=True)
        for name, extras in LOCKS.items():
            compile_lock(name, extras, arguments.upgrade)
        for name, wanted_text in STANDALONE.items():
            compile_standalone(name, wanted_text, arguments.upgrade)
    found = [problem for name, extras in LOCKS.items() for problem in problems(name, extras)]
    found += [problem for name, text in STANDALONE.items() for problem in standalone_problems(name, text)]
    for problem in found:
        print(f"{problem} (run make lock)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

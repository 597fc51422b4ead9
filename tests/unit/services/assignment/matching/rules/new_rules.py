"""Rules that tests bring along: one file in a folder that counts as a part of the rules' own, or a distribution."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.assignment.matching import rules
from services.assignment.matching.rules import registry

# All that a new rule takes.
MONSOON = '''
"""Two wheels are no fun in the rain."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Monsoon:
    """Keeps two-wheelers out of the rain, and costs everyone else a little.

    It rains wherever nobody looks.
    """

    puddle_s: float = 7.0
    rains: float = 1.0

    name: ClassVar[str] = "monsoon"
    reason: ClassVar[str | None] = "TOO_WET"
    weight: ClassVar[float] = 2.0
    rank: ClassVar[int] = 65

    def __call__(self, problem, edges):
        """Return seconds, or +inf."""
        wet = np.isin(problem.partners.vehicle[edges.partner], [1, 2]) & (self.rains > 0)
        return np.where(wet, np.inf, self.puddle_s)
'''
BROKEN = '''
"""Whatever the test says."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Broken:
    """Is broken."""

    name: ClassVar[str] = "broken"
    reason: ClassVar[str | None] = "NEVER"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 5

    def __call__(self, problem, edges):
        """Return what no rule may."""
        {body}
'''


@contextmanager
def rule_file(folder: Path, name: str, text: str) -> Iterator[None]:
    """Make a file one of the rules, as if it stood beside them."""
    (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "__path__", [*rules.__path__, str(folder)])
        with discovered_anew(f"{rules.__name__}.{name}"):
            yield


@contextmanager
def distribution(folder: Path, entry_points: str, modules: dict[str, str]) -> Iterator[None]:
    """Install a distribution with these entry points and modules."""
    info = folder / "monsoon_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: monsoon-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\n{entry_points}\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with discovered_anew(*modules):
            yield


@contextmanager
def discovered_anew(*modules: str) -> Iterator[None]:
    """Forget which rules there are, now and afterwards, and these modules afterwards."""
    registry.discovered.cache_clear()
    try:
        yield
    finally:
        registry.discovered.cache_clear()
        for module in modules:
            sys.modules.pop(module, None)
            vars(rules).pop(module.rpartition(".")[2], None)

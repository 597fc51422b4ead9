"""Loops over single pairs, compiled to machine code when they are first called (Numba; Lam, Pitrou and Seibert 2015,
doi:10.1145/2833157.2833162).

What many numpy calls on small arrays would do one after the other, one loop does at once. The arithmetic is IEEE 754's,
with nothing reordered or fused, so the same input gives the same answer on every machine. What was compiled is kept
in NUMBA_CACHE_DIR, beside the source or in the user's cache, the first of them that can be written to, for the next
process. Where none can, each process compiles for itself.
"""

import re
import warnings
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar, cast

from numba import config, njit
from numba.core import caching

P = ParamSpec("P")
R = TypeVar("R")
_IMPORTED = re.compile(rf"^from {re.escape(__package__)}\.([\w.]+) import", re.MULTILINE)
_HERE = Path(__file__).parent


@cache
def _source_of(path: Path) -> bytes:
    """Return what tells the source of a module, with all that it imports from this package, from any other."""
    read: dict[Path, str] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in read and file.exists():
            read[file] = file.read_text(encoding="utf-8")
            waiting += [_HERE.joinpath(*name.split(".")).with_suffix(".py") for name in _IMPORTED.findall(read[file])]
    return sha256("\0".join(read[file] for file in sorted(read)).encode()).digest()


class _Whole:
    """Numba alone would look at a loop's own file, and go on with what others that it calls were once."""

    _py_file: str

    def get_source_stamp(self) -> bytes:
        return _source_of(Path(self._py_file))


class Given(_Whole, caching.UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR."""


class Beside(_Whole, caching.InTreeCacheLocator):
    """The folder of the source."""


class OfUser(_Whole, caching.UserWideCacheLocator):
    """The user's cache."""


if not config.CACHE_LOCATOR_CLASSES:  # type: ignore[attr-defined]  # set from the environment, where no type is told
    _kept_in = (Given, Beside, OfUser)
    config.CACHE_LOCATOR_CLASSES = ",".join(f"{__name__}.{kept.__name__}" for kept in _kept_in)  # type: ignore[attr-defined]  # likewise


def compiled(loop: Callable[P, R]) -> Callable[P, R]:
    """Return the function in machine code; other threads run beside it."""
    return _compiled(loop, inline="never")


def inlined(loop: Callable[P, R]) -> Callable[P, R]:
    """Return the same for what compiled functions call for each pair: handing many arrays over would take longer."""
    return _compiled(loop, inline="always")


def _compiled(loop: Callable[P, R], inline: Literal["never", "always"]) -> Callable[P, R]:
    def made(*, kept: bool) -> Callable[P, R]:
        return cast("Callable[P, R]", njit(cache=kept, nogil=True, error_model="numpy", inline=inline)(loop))

    try:
        return made(kept=True)
    except RuntimeError as error:
        # What Numba raises where no folder can be written to.
        if "no locator available" not in str(error):
            raise
        warnings.warn("nothing compiled can be kept; set NUMBA_CACHE_DIR to a folder", RuntimeWarning, stacklevel=3)
        return made(kept=False)

"""Loops over single pairs, compiled to machine code when they are first called (Numba; Lam, Pitrou and Seibert 2015,
doi:10.1145/2833157.2833162).

What many numpy calls on small arrays would do one after the other, one loop does at once. The arithmetic is IEEE 754's,
with nothing reordered or fused, so the same input gives the same answer on every machine. What was compiled is kept
beside the source, or in NUMBA_CACHE_DIR, for the next process.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(loop: Callable[P, R]) -> Callable[P, R]:
    """Return the function in machine code; other threads run beside it."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True, error_model="numpy")(loop))


def inlined(loop: Callable[P, R]) -> Callable[P, R]:
    """Return the same for what compiled functions call for each pair: handing many arrays over would take longer."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True, error_model="numpy", inline="always")(loop))

"""Remembers what is worked out of an object that never changes."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import TypeVar

Value = TypeVar("Value")
# What packages and partners cost at least by a rule: with less room left they cost no less.
FLOORS = ("floor", "partner floor")


class Memo:
    """Base of what remembers."""

    def once(self, owner: object, what: str, work: Callable[[], Value]) -> Value:
        """Return what `owner` works out of the problem, worked out when it is first asked."""
        known: dict[tuple[int, str], tuple[object, Value]] = self.__dict__.setdefault("_once", {})
        key = (id(owner), what)
        if key not in known:
            # The owner stays alive with it: no other object takes its id. What holds itself would outlive its last use.
            known[key] = (None if owner is self else owner, work())
        return known[key][1]

    def remember(self, other: "Memo", kinds: Collection[str]) -> None:
        """Take over another one's cached properties, and what it has worked out of these kinds for whichever owner."""
        known = vars(other).get("_once", {})
        cached = {k: v for k, v in vars(other).items() if isinstance(getattr(type(other), k, None), cached_property)}
        vars(self).update(cached, _once={key: found for key, found in known.items() if key[1] in kinds})

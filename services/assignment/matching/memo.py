"""Remembers what is worked out of an object that never changes."""

from collections.abc import Callable, Collection
from typing import TypeVar

Value = TypeVar("Value")


class Memo:
    """Base of what remembers."""

    def once(self, owner: object, what: str, work: Callable[[], Value]) -> Value:
        """Return what `owner` works out of the problem, worked out when it is first asked."""
        known: dict[tuple[int, str], tuple[object, Value]] = self.__dict__.setdefault("_once", {})
        key = (id(owner), what)
        if key not in known:
            # The owner stays alive with it: no other object takes its id.
            known[key] = (owner, work())
        return known[key][1]

    def remember(self, other: "Memo", kinds: Collection[str]) -> None:
        """Take over what another one has worked out of these kinds, for whichever owner."""
        known = other.__dict__.get("_once", {})
        self.__dict__["_once"] = {key: found for key, found in known.items() if key[1] in kinds}

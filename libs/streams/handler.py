"""What a consumer is: a class in a file of a service's handlers/ folder, with a name, its types and a function."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, ClassVar, Protocol, cast

from libs.streams.codec import Event

ENTRY_POINTS = "lastmile.handlers"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class TryLaterError(Exception):
    """A handler raises this when what it works with is away: its batch is tried again until that is back."""


class HandlerDefinitionError(TypeError):
    """A class is no handler, or two share a name; the message says which and what is missing."""


class Handler(Protocol):
    """A consumer. Delivery is at least once: `handle` puts its effects and `libs.postgres.seen` in one transaction."""

    # The consumer group: never changed, or every event comes again.
    name: ClassVar[str]
    # Such as "lastmile.delivery.created.v1"; empty wants every type.
    types: ClassVar[frozenset[str]]

    async def handle(self, batch: Sequence[Event]) -> None:
        """Take effect for all of `batch`, or raise and take effect for none.

        The events of an aggregate come in their order, and never two batches with the same aggregate at once.
        """


def discovered(package: ModuleType) -> Mapping[str, type[Handler]]:
    """Return every handler of a service by its name: a file's in its handlers/ folder, an installed package's.

    `package` is that folder; an entry point belongs to it when its name begins with the service's and a dot. Raises
    HandlerDefinitionError when one is not what a handler must be.
    """
    found: list[Any] = []
    for module in pkgutil.iter_modules(package.__path__):
        kinds = _defined_in(importlib.import_module(f"{package.__name__}.{module.name}"))
        if not kinds:
            raise HandlerDefinitionError(f"{package.__name__}.{module.name} defines no class with a method handle")
        found += kinds
    service = package.__name__.split(".")[-2]
    for entry_point in entry_points(group=ENTRY_POINTS):
        if entry_point.name.startswith(f"{service}."):
            found.append(entry_point.load())
    named: dict[str, type[Handler]] = {}
    for kind in found:
        _check(kind)
        if kind.name in named:
            raise HandlerDefinitionError(f"two handlers are called {kind.name!r}: {kind} and {named[kind.name]}")
        named[kind.name] = cast("type[Handler]", kind)
    return dict(sorted(named.items()))


def _defined_in(module: ModuleType) -> list[type]:
    members = inspect.getmembers(module, inspect.isclass)
    return [kind for _, kind in members if kind.__module__ == module.__name__ and hasattr(kind, "handle")]


def _check(kind: Any) -> None:
    name, types = getattr(kind, "name", None), getattr(kind, "types", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise HandlerDefinitionError(f"{kind}: its name {name!r} is not in lower case with underscores")
    if not isinstance(types, frozenset) or not all(isinstance(one, str) for one in types):
        raise HandlerDefinitionError(f"{kind}: its types are no frozenset of event types")
    if not inspect.iscoroutinefunction(getattr(kind, "handle", None)):
        raise HandlerDefinitionError(f"{kind}: it has no async method handle")

"""The formats of statements, a module each: `FORMAT`, and `read(content, mapping, limits)`, which yields batches."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache

from services.reconciliation.statements.batches import Batch
from services.reconciliation.statements.content import Content
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Format, Mapping

Read = Callable[[Content, Mapping, IntakeLimits], Iterator[Batch]]


@cache
def readers() -> dict[Format, Read]:
    """Return how each format is read; TypeError when a module is none, or a format has none."""
    found: dict[Format, Read] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if not isinstance(getattr(loaded, "FORMAT", None), Format) or not callable(getattr(loaded, "read", None)):
            raise TypeError(f"{loaded.__name__} has no FORMAT and read")
        found[loaded.FORMAT] = loaded.read
    if missing := set(Format) - set(found):
        raise TypeError(f"no module of {__name__} reads {', '.join(sorted(missing))}")
    return found

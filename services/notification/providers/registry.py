"""Finds the providers: every class of this folder's files that has what a provider must have."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from services.notification import providers
from services.notification.providers.base import Provider, ProviderSettings

_PARTS = ("name", "channels", "drops_repeats", "Settings", "send", "classify", "look_up", "receipt_of", "close")
_HELPERS = frozenset({"base", "registry", "outgoing", "http_clients"})
# A provider by its name, or one more account of it: "twilio:second".
_NAME = re.compile(r"([a-z0-9_]+)(?::([a-z0-9_]+))?")


class ProviderDefinitionError(TypeError):
    """A file defines no provider, two share a name, or a route names one that there is not."""


@cache
def discovered() -> Mapping[str, type[Provider]]:
    """Return every provider by its name. Raises ProviderDefinitionError."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(providers.__path__):
        if module.name in _HELPERS:
            continue
        name = f"{providers.__name__}.{module.name}"
        kinds: list[Any] = [
            kind
            for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass)
            if kind.__module__ == name and hasattr(kind, "send")
        ]
        if len(kinds) != 1 or any(not hasattr(kinds[0], part) for part in _PARTS):
            raise ProviderDefinitionError(f"{name} must define one class with {', '.join(_PARTS)}")
        if kinds[0].name in found:
            raise ProviderDefinitionError(f"two providers are called {kinds[0].name}")
        found[kinds[0].name] = kinds[0]
    return found


def named(name: str, channel: str) -> type[Provider]:
    """Return a provider that carries a channel. Raises ProviderDefinitionError for a name that none has."""
    parts = _NAME.fullmatch(name)
    kind = discovered().get(parts.group(1)) if parts else None
    if kind is None or channel not in kind.channels:
        fitting = sorted(key for key, known in discovered().items() if channel in known.channels)
        raise ProviderDefinitionError(f"no provider {name!r} for {channel}; there are {', '.join(fitting)}")
    return kind


def settings_of(kind: type[Provider], name: str) -> type[ProviderSettings]:
    """Return the settings of the provider of a name: one more account has variables of its own."""
    account = name.partition(":")[2]
    if not account:
        return kind.Settings
    config = {**kind.Settings.model_config, "env_prefix": prefix_of(kind, account)}
    told = {"model_config": config, "__module__": kind.__module__, "__doc__": kind.Settings.__doc__}
    return type(f"{kind.Settings.__name__}:{account}", (kind.Settings,), told)


def prefix_of(kind: type[Provider], account: str) -> str:
    """Return what the variables of a provider's account begin with; of its first one, `account` is empty."""
    prefix = str(kind.Settings.model_config["env_prefix"])
    return f"{prefix}{account.upper()}_" if account else prefix

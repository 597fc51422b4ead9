"""What an adapter is: a class in a file of this folder, with a name."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self, cast

from libs.resilience.verdict import Verdict
from services.assignment.dispatch import adapters
from services.assignment.dispatch.network import NetworkConfig


class Reply(StrEnum):
    """What a network says to an offer at once; most decide later."""

    TAKEN_NOTE = "taken_note"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class NetworkRefusedError(Exception):
    """The network takes no such offer: it knows no such partner, or finds it malformed."""


class NetworkGoneError(NetworkRefusedError):
    """The network does not know what it is asked about."""


class GarbledAnswerError(Exception):
    """The network answered what no API of its kind answers."""


@dataclass(frozen=True, slots=True)
class Page:
    """Updates that a network had, as they came, and where to go on from."""

    updates: Sequence[Any]
    cursor: str


class NetworkAdapter(Protocol):
    """Speaks to one network. Every call may come again with the same key, and has then the same effect once."""

    name: ClassVar[str]
    # Whether anything is sent at all.
    sends: ClassVar[bool]

    def __init__(self, config: NetworkConfig, token_reread_s: float) -> None:
        """Make it for a network."""

    async def __aenter__(self) -> Self:
        """Open what it needs."""

    async def __aexit__(self, *_: object) -> None:
        """Close that."""

    def verdict(self, error: Exception) -> Verdict | None:
        """Say what an error of a call means."""

    async def offer(self, values: Mapping[str, Any], key: str) -> Reply:
        """Make an offer. Raises NetworkRefusedError."""

    async def end(self, values: Mapping[str, Any], key: str) -> None:
        """Tell that an offer is over. One that the network does not know is over. Raises NetworkRefusedError."""

    async def ping(self) -> None:
        """Ask whether it works."""

    async def poll(self, cursor: str) -> Page:
        """Return what has happened since `cursor`; empty is the beginning."""


def discovered() -> Mapping[str, type[NetworkAdapter]]:
    """Return every adapter by its name."""
    found: dict[str, type[NetworkAdapter]] = {}
    for module in pkgutil.iter_modules(adapters.__path__):
        loaded = importlib.import_module(f"{adapters.__name__}.{module.name}")
        for _, kind in inspect.getmembers(loaded, inspect.isclass):
            if kind.__module__ == loaded.__name__ and "sends" in vars(kind):
                adapter = cast("type[NetworkAdapter]", kind)
                found[adapter.name] = adapter
    return found


def adapters_of(networks: Mapping[str, NetworkConfig], token_reread_s: float) -> dict[str, NetworkAdapter]:
    """Return an adapter for each network; ValueError for one that there is no file of."""
    kinds = _kinds_of(networks)
    return {code: kinds[code](config, token_reread_s) for code, config in networks.items()}


def dispatched(networks: Mapping[str, NetworkConfig]) -> frozenset[str]:
    """Return the networks whose API is called, rather than their partners' app; ValueError as above."""
    return frozenset(code for code, kind in _kinds_of(networks).items() if kind.sends)


def _kinds_of(networks: Mapping[str, NetworkConfig]) -> dict[str, type[NetworkAdapter]]:
    kinds = discovered()
    for code, config in networks.items():
        if config.adapter not in kinds:
            raise ValueError(f"network {code}: no adapter {config.adapter!r}; there are {', '.join(sorted(kinds))}")
    return {code: kinds[config.adapter] for code, config in networks.items()}

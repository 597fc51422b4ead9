"""The partner app: it lists its partner's offers itself, and answers them by AssignmentService. Nothing is sent."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from libs.resilience.verdict import Verdict
from services.assignment.dispatch.adapters.base import Page, Reply
from services.assignment.dispatch.network import NetworkConfig


class PartnerApp:
    """A network whose partners use our app: it is as well as we are."""

    name: ClassVar[str] = "app"
    sends: ClassVar[bool] = False

    def __init__(self, config: NetworkConfig, token_reread_s: float) -> None:
        """Need nothing of either."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def verdict(self, error: Exception) -> Verdict | None:
        """Say nothing: no call can fail."""
        return None

    async def offer(self, values: Mapping[str, Any], key: str) -> Reply:
        """Do nothing: the app lists it."""
        return Reply.TAKEN_NOTE

    async def end(self, values: Mapping[str, Any], key: str) -> None:
        """Do nothing: the app lists it no more."""

    async def ping(self) -> None:
        """Do nothing."""

    async def poll(self, cursor: str) -> Page:
        """Return nothing: answers come by themselves."""
        return Page((), cursor)

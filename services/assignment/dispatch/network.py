"""What is known of a partner network: where its API is, how its words are ours, its secrets, and its limits.

`LASTMILE_NETWORKS_FILE` holds a JSON list of NetworkConfig. A secret is never in it: `file:<path>` or `env:<name>` says
where it is.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator, model_validator

from libs.resilience.limits import DependencyLimits
from services.assignment.dispatch.mapping import CallbackMapping, CallMapping, Template
from services.assignment.dispatch.update import WORDS

# What an offer is called towards networks: the fields that a mapping may name.
OFFER_FIELDS = frozenset({
    "offer_id", "delivery_id", "partner_id", "partner_reference", "needs_answer", "expires_at", "city_code",
    "pickup_lat", "pickup_lng", "drop_lat", "drop_lng", "ready_at", "drop_from", "drop_until", "weight_g",
    "length_mm", "width_mm", "height_mm", "cash_on_delivery_minor", "cash_on_delivery_currency",
})  # fmt: skip
END_FIELDS = frozenset({"offer_id", "delivery_id", "partner_id", "partner_reference", "reason"})
_OFFER_TEMPLATE: Template = {name: name for name in sorted(OFFER_FIELDS)}


class NetworkMapping(BaseModel):
    """How the calls and callbacks of a network look. The defaults are those of `lastmile sandbox network`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: CallMapping = Field(
        CallMapping(method="POST", path="/offers", body=_OFFER_TEMPLATE, status="status"),
        description="How an offer is made",
    )
    end: CallMapping = Field(
        CallMapping(method="POST", path="/offers/{offer_id}/end", body={"reason": "reason"}),
        description="How the network is told that an offer is over",
    )
    health: CallMapping = Field(CallMapping(method="GET", path="/health"), description="What says whether it works")
    updates: CallMapping = Field(
        CallMapping(method="GET", path="/updates?after={cursor}"), description="How updates are asked for, when polling"
    )
    updates_items: str = Field("updates", description="Where the updates are in the answer")
    updates_cursor: str = Field("cursor", description="Where the place to go on from is in the answer")
    callback: CallbackMapping = Field(CallbackMapping(), description="How an update looks")

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for call, known in ((self.offer, OFFER_FIELDS), (self.end, END_FIELDS), (self.updates, {"cursor"})):
            if unknown := call.names() - known:
                raise ValueError(f"{call.path}: no such field: {', '.join(sorted(unknown))}")
        if meaningless := set(self.callback.types.values()) - WORDS:
            raise ValueError(f"types are one of {', '.join(sorted(WORDS))}, not {', '.join(sorted(meaningless))}")
        return self


class NetworkConfig(BaseModel):
    """One partner network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern="^[a-z][a-z0-9_-]{0,63}$", description="What partners name as their network")
    adapter: str = Field("http", description="The file in dispatch/adapters/ that speaks to it")
    base_url: HttpUrl | None = Field(None, description="Where its API is")
    api_token: str = Field("", description="Where the bearer token for its API is: file:<path> or env:<name>")
    webhook_secrets: tuple[str, ...] = Field(
        (), description="Where the secrets are that its webhooks are signed with; several while one replaces another"
    )
    mapping: NetworkMapping = Field(NetworkMapping(), description="How its words are ours")
    limits: DependencyLimits = Field(DependencyLimits(), description="What calls of it may cost")
    answer_bytes_max: int = Field(1024 * 1024, gt=0, description="A longer answer is none")
    poll_ms: int | None = Field(None, gt=0, description="Time between asking for updates; none waits for webhooks")
    health_ms: int = Field(1_000, gt=0, description="Time between looks at a network that is down and may be back")

    @field_validator("webhook_secrets", "api_token")
    @classmethod
    def _is_a_reference(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for reference in (value,) if isinstance(value, str) else value:
            if reference and not reference.startswith(("file:", "env:")):
                raise ValueError("say where the secret is: file:<path> or env:<name>")
        return value


class Secrets:
    """Reads referenced secrets, and again after a while: one that was replaced is known without a start."""

    def __init__(self, references: Sequence[str], reread_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._references = [reference for reference in references if reference]
        self._reread_s = reread_s
        self._now_s = now_s
        self._values: list[str] = []
        self._read_at_s = float("-inf")

    def values(self) -> list[str]:
        """Return the secrets, in the order of their references. Raises OSError or KeyError for a missing one."""
        if self._now_s() - self._read_at_s > self._reread_s:
            self._values = [_secret(reference) for reference in self._references]
            self._read_at_s = self._now_s()
        return self._values


def _secret(reference: str) -> str:
    kind, _, where = reference.partition(":")
    return (Path(where).read_text() if kind == "file" else os.environ[where]).strip()


def load_networks(path: Path | None) -> Mapping[str, NetworkConfig]:
    """Return the networks of a file by their codes; none without one. Raises ValueError for what is wrong in it."""
    if path is None:
        return {}
    networks = TypeAdapter(tuple[NetworkConfig, ...]).validate_python(json.loads(path.read_text()))
    named = {network.code: network for network in networks}
    if len(named) < len(networks):
        raise ValueError(f"{path}: a network is there twice")
    return named

"""Our words in a network's JSON, and its words in ours: dotted paths, both ways. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# A dotted path in the network's JSON -> the name of our field.
Template = Mapping[str, str]
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_UNRESERVED = re.compile(r"[^A-Za-z0-9._~-]")


class CallMapping(BaseModel):
    """One call: its verb, its path with variables in braces, its body, and where the answer says how it went."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field("POST", description="The verb")
    path: str = Field(pattern="^/", description="Below base_url; {name} is one of our fields")
    body: Template = Field({}, description="Path in the JSON that is sent -> our field; empty sends none")
    status: str = Field("", description="Where the answer says accepted or rejected at once; empty: it never does")

    def names(self) -> set[str]:
        """Return our fields that the call names."""
        return {*self.body.values(), *_VARIABLE.findall(self.path)}

    def path_of(self, values: Mapping[str, Any]) -> str:
        """Return the path with its variables filled in, each escaped."""
        return _VARIABLE.sub(lambda found: escaped(str(values[found.group(1)])), self.path)

    def body_of(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the body, or None where there is none."""
        return filled(self.body, values) if self.body else None


class CallbackMapping(BaseModel):
    """Where an update says what. `types` gives each of the network's types our word for it; others mean nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field("type", description="Path of the type")
    offer_id: str = Field("data.offer_id", description="Path of our offer's id")
    occurred_at: str = Field("data.occurred_at", description="Path of the time, RFC 3339 with its zone")
    reason: str = Field("data.reason", description="Path of the reason of a rejection or a failure")
    types: Mapping[str, str] = Field(
        {
            "offer.accepted": "accept",
            "offer.rejected": "reject",
            "delivery.picked_up": "picked_up",
            "delivery.out_for_delivery": "out_for_delivery",
            "delivery.delivered": "delivered",
            "delivery.attempt_failed": "attempt_failed",
            "delivery.returning": "returning",
            "delivery.returned": "returned",
        },
        description="The network's type -> accept, reject, or the state that the delivery becomes",
    )


def filled(template: Template, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON that a template makes; what we do not know is left out."""
    made: dict[str, Any] = {}
    for path, name in template.items():
        value = values.get(name)
        if value is None:
            continue
        *parents, last = path.split(".")
        inner = made
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return made


def picked(body: Any, path: str) -> Any:
    """Return what is at a dotted path; None where there is nothing."""
    for name in path.split("."):
        if not isinstance(body, Mapping) or name not in body:
            return None
        body = body[name]
    return body


def escaped(text: str) -> str:
    """Return a text as one segment of a path or one value of a query."""
    return _UNRESERVED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), text)

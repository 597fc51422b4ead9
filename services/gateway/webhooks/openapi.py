"""Webhooks in the OpenAPI document, those that come and those that go: none is an RPC, because bytes are signed."""

from collections.abc import Mapping
from typing import Any

from services.gateway.webhooks.endpoint import NETWORK_PATH

NETWORK, RECEIPT = "Webhooks_ReceiveNetworkUpdate", "Webhooks_ReceiveReceipt"
TAG = "Webhooks"
_RECEIPT_PATH = "/receipts/{provider}"
_STANDARD = "https://www.standardwebhooks.com"
_NETWORK_TEXT = """Takes what a partner network tells of its offers, signed as Standard Webhooks has it with one of the
network's secrets. The id is an idempotency key: a webhook that comes again takes effect once.

200 says what it came to, and that there is nothing to send again; 409 and 5xx ask for it again later.

For: partner networks, by their signature."""
_RECEIPT_TEXT = """Takes what a provider of messages calls back: a Twilio account's status callbacks and answers, or
what an SNS topic posts of Amazon SES. `provider` is its name on the routes, such as `twilio` or `twilio:second`.

It is served by the notification api on a port of its own. What is not signed by the provider, is too old, or came
before, is refused, counted, and changes nothing.

For: providers, by their signature."""
_REFUSED = {
    "400": "It cannot be read.",
    "403": "It is not the provider's.",
    "404": "No route names such a provider.",
    "409": "It is too old, or came before.",
    "413": "It is too long.",
    "503": "What it needs is down: call back again.",
}
_OUTCOMES = ["DONE", "ALREADY", "REFUSED", "TOO_EARLY", "IGNORED"]
_NETWORK_PROBLEMS = (400, 401, 404, 405, 408, 413, 429, 503, 504)
_SIGNED = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": said}
    for name, said in (
        ("webhook-id", "Stays the same when it is sent again."),
        ("webhook-timestamp", "Seconds since 1970."),
        ("webhook-signature", f"As {_STANDARD} has it; several where several secrets are good."),
    )
]
_DELIVERY = {
    "deliveryId": {"type": "string", "format": "uuid"},
    "merchantReference": {"type": "string"},
    "status": {"type": "string"},
    "reason": {"type": "string"},
    "occurredAt": {"type": "string", "format": "date-time"},
}
_NEWS = {"title": {"type": "string"}, "text": {"type": "string"}}


def with_webhooks(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the routes that webhooks come to, and with the webhooks that Lastmile sends."""
    tag = {"name": TAG, "description": "What other companies' systems tell."}
    paths = {**document["paths"], NETWORK_PATH: {"post": _network()}, _RECEIPT_PATH: {"post": _receipt()}}
    sent = {
        "delivery": _sent("A delivery's status, to its merchant", r"^delivery\.", _DELIVERY),
        "outage": _sent(
            "An outage that concerns a merchant, to one who asked", r"^outage\.(began|over)$",
            {"outageId": {"type": "string", "format": "uuid"}, **_NEWS},
        ),
        "alert": _sent(
            "An alert or its end, to ops", r"^alert\.(raised|over)$",
            {"alertId": {"type": "string", "format": "uuid"}, **_NEWS},
        ),
    }  # fmt: skip
    return {**document, "tags": [*document["tags"], tag], "paths": paths, "webhooks": sent}


def _network() -> dict[str, Any]:
    outcome = {
        "type": "object",
        "required": ["outcome"],
        "properties": {
            "outcome": {"type": "string", "enum": _OUTCOMES}, "reason": {"type": "string"},
            "offerState": {"type": "string"},
        },
    }  # fmt: skip
    code = {
        "name": "code", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    }  # fmt: skip
    said = {"application/json": {"schema": outcome}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": NETWORK,
        "tags": [TAG],
        "summary": "Takes what a partner network tells",
        "description": _NETWORK_TEXT,
        "security": [],
        "parameters": [code, *_SIGNED],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "What it came to.", "content": said},
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _NETWORK_PROBLEMS},
            "409": {"description": "Something comes first: send it again later.", "content": said | problem},
        },
    }


def _receipt() -> dict[str, Any]:
    provider = {"name": "provider", "in": "path", "required": True, "schema": {"type": "string"}}
    answers = {"204": "It is taken, or says nothing of interest."} | _REFUSED
    return {
        "operationId": RECEIPT,
        "tags": [TAG],
        "summary": "Takes what a provider of messages calls back",
        "description": _RECEIPT_TEXT,
        "servers": [{"url": "/", "description": "Where the notification api listens for receipts."}],
        "security": [],
        "parameters": [provider],
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string"}}
                for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json")
            },
        },
        "responses": {status: {"description": said} for status, said in answers.items()},
    }


def _sent(summary: str, type_pattern: str, data: Mapping[str, Any]) -> dict[str, Any]:
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "pattern": type_pattern},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"type": "object", "required": list(data), "properties": dict(data)},
        },
    }
    return {
        "post": {
            "summary": summary,
            "description": f"Signed as {_STANDARD} has it. Any 2xx takes it; what is not taken is sent again.",
            "parameters": _SIGNED,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {"2XX": {"description": "It is taken."}, "410": {"description": "Nothing more is wanted."}},
        }
    }

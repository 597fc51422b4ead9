"""The AsyncAPI document is whole: every reference leads somewhere, and what a service writes fits its schema."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from scripts.asyncapi import TYPES, render
from tests.events import event_bytes


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere() -> None:
    document = json.loads(render())
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_type_is_a_message_of_the_channel_and_published() -> None:
    document = json.loads(render())
    assert set(document["channels"]["events"]["messages"]) == set(TYPES.values())
    assert len(document["operations"]["relay"]["messages"]) == len(TYPES)


def test_an_event_fits_the_envelope() -> None:
    schema = json.loads(render())["components"]["schemas"]["Envelope"]
    Draft202012Validator(schema).validate(json.loads(event_bytes("deliveries/1", 1)))

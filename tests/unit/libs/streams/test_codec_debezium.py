"""Debezium Server's Redis sink in its extended format: what a consumer reads is the same event.

https://github.com/debezium/debezium-server, RedisStreamChangeConsumer: the fields `key` and `value`, both JSON, and
each header in capitals.
"""

import json
from pathlib import Path

from libs.streams.codec import content_of, decode
from libs.streams.names import FIELD, NO_CITY, StreamName
from tests.events import event_bytes

CONFIGURATION = Path(__file__).resolve().parents[4] / "services" / "relay" / "debezium" / "application.properties"


def properties() -> dict[str, str]:
    lines = [line for line in CONFIGURATION.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def entry(raw: bytes) -> tuple[str, dict[bytes, bytes]]:
    """What the two transformations of the configuration make of a message, and the sink of that: stream and fields."""
    told = properties()
    event = json.loads(raw)
    router = {name.removeprefix("debezium.transforms.route."): value for name, value in told.items()}
    placements = [field.split(":") for field in router["table.fields.additional.placement"].split(",")]
    assert all(placement == "envelope" for _, placement in placements)
    value = {"payload": event[router["table.field.event.payload"]]} | {name: event[name] for name, _ in placements}
    stream = router["route.topic.replacement"].replace("$1", event[router["route.by.field"]])
    fields = {
        "key": json.dumps(event[router["table.field.event.key"]]),
        "value": json.dumps(value),
        "ID": event[router["table.field.event.id"]],
    }
    return stream, {name.encode(): text.encode() for name, text in fields.items()}


def test_an_entry_of_debezium_is_the_event_of_the_relay() -> None:
    raw = event_bytes("deliveries/1", 7, "DEL")
    stream, fields = entry(raw)
    assert StreamName.parse(stream.replace("${LASTMILE_EVENTS_EPOCH}", "3")) == StreamName("DEL", 3)
    theirs, ours = (decode("s", "5-0", content_of(found)) for found in (fields, {FIELD: raw}))
    assert theirs.message == ours.message
    assert theirs.message.sequence == 7


def test_an_event_of_no_city_has_a_stream_too() -> None:
    stream, fields = entry(event_bytes("merchants/1", 1, ""))
    assert StreamName.parse(stream.replace("${LASTMILE_EVENTS_EPOCH}", "3")) == StreamName(NO_CITY, 3)
    assert decode("s", "5-0", content_of(fields)).message.city_code == ""


def test_the_configuration_reads_what_the_relay_would_read() -> None:
    told = properties()
    assert told["debezium.source.slot.name"] == "lastmile_events_${LASTMILE_EVENTS_EPOCH}"
    assert told["debezium.source.publication.name"] == "lastmile_events"
    assert told["debezium.source.message.prefix.include.list"] == "lastmile.events"
    assert told["debezium.sink.redis.message.format"] == "extended"

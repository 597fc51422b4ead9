import json

import pytest

from libs.streams.codec import UndecodableEventError, city_of, decode
from tests.events import event_bytes


def test_what_a_service_writes_comes_out_with_every_attribute() -> None:
    raw = event_bytes("deliveries/1", 7, "DEL")
    event = decode("s", "5-0", raw)
    assert (event.subject, event.message.sequence, event.message.city_code) == ("deliveries/1", 7, "DEL")
    assert event.message.type == "lastmile.delivery.state_changed.v1"
    assert event.id == json.loads(raw)["id"]
    assert event.raw == raw
    assert city_of(raw) == "DEL"


def test_an_event_of_no_city_names_none() -> None:
    assert city_of(event_bytes("merchants/1", 1, "")) == ""


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[1]",
        b"{}",
        b"null",
        b'{"data_base64": 5}',
        b'{"data_base64": "not base64!"}',
        b'{"data_base64": "//////8="}',
        b'{"data_base64": ""}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(raw: bytes | None) -> None:
    with pytest.raises(UndecodableEventError, match=r"\w"):
        decode("s", "5-0", raw)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"[" * 100_000, b'{"citycode": 5}', b'{"citycode": "a}b"}', b'{"citycode": " "}']
)
def test_an_envelope_without_a_usable_city_is_refused(raw: bytes) -> None:
    with pytest.raises(UndecodableEventError):
        city_of(raw)

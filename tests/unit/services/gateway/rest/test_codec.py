import contextlib
import json
import time
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from lastmile.assignment.v1 import delivery_pb2

from services.gateway.rest.codec import GoogleJsonCodec, JsonRefusedError, decode
from tests.messages import ANSWERS, REQUESTS, messages

ANY_MESSAGE = st.sampled_from([*REQUESTS, *ANSWERS]).flatmap(messages)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
CODEC = GoogleJsonCodec()


@given(ANY_MESSAGE)
def test_what_is_rendered_is_parsed_back_the_same(message: Message) -> None:
    back = type(message)()
    CODEC.parse(decode(CODEC.render(message)), back)
    assert back == message


@given(JSON_VALUES)
def test_every_json_value_is_decoded_as_it_is(value: Any) -> None:
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0a\\u', max_size=60).map(str.encode))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(JsonRefusedError):
        decode(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"NaN", "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"\xff\xfe{}", "not UTF-8: byte 0"),
        ('{"a": "é"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": ', "line 1 column"),
        (b"[" * 200_000, "nested"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "more digits than any field"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(JsonRefusedError, match=said):
        decode(body)


def test_a_name_that_stands_twice_among_very_many_is_found_at_once() -> None:
    names = [*(f"n{number}" for number in range(150_000)), "n149999"]
    body = ("{" + ",".join(f'"{name}":0' for name in names) + "}").encode()
    began_s = time.thread_time()
    with pytest.raises(JsonRefusedError, match="n149999") as refused:
        decode(body)
    assert refused.value.field == "n149999"
    assert time.thread_time() - began_s < 5


def test_a_wrong_value_is_refused_with_the_path_to_it() -> None:
    value = {"details": {"pickup": {"latitudeDeg": "north"}}}
    with pytest.raises(JsonRefusedError) as refused:
        CODEC.parse(value, delivery_pb2.CreateDeliveryRequest())
    assert refused.value.field.endswith("latitudeDeg")


def test_defaults_are_rendered_and_absent_messages_are_not() -> None:
    rendered = json.loads(CODEC.render(delivery_pb2.Delivery()))
    assert rendered["id"] == ""
    assert rendered["state"] == "DELIVERY_STATE_UNSPECIFIED"
    assert "details" not in rendered

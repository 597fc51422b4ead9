import math

import pytest
from google.protobuf import api_pb2, json_format, struct_pb2, type_pb2, wrappers_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from lastmile.assignment.v1 import partner_pb2
from lastmile.common.v1 import geo_pb2

from services.gateway.rest.rendering import value_of
from tests.messages import ANSWERS, REQUESTS, messages


def expected(message: Message) -> object:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


@given(st.sampled_from([*ANSWERS, *REQUESTS]).flatmap(messages))
def test_every_message_is_what_protobufs_own_codec_makes_of_it(message: Message) -> None:
    assert value_of(message) == expected(message)


@pytest.mark.parametrize("number", [math.inf, -math.inf, -0.0, 1e300, 5.0])
def test_every_double_is_written_as_json_can(number: float) -> None:
    place = geo_pb2.Location(latitude_deg=number)
    assert value_of(place) == expected(place)


def test_no_number_is_text() -> None:
    assert value_of(geo_pb2.Location(latitude_deg=math.nan)) == {"latitudeDeg": "NaN", "longitudeDeg": 0.0}


def test_a_value_that_an_enum_does_not_know_is_its_number() -> None:
    partner = partner_pb2.Partner(availability=77)  # type: ignore[arg-type]  # of a later version
    assert value_of(partner) == expected(partner)
    assert value_of(partner)["availability"] == 77


@pytest.mark.parametrize(
    "message",
    [
        struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=1)}),
        wrappers_pb2.Int64Value(value=5),
        type_pb2.Type(name="t", fields=[type_pb2.Field(number=1)]),
        api_pb2.Api(name="a"),
    ],
)
def test_protobufs_own_types_are_left_to_it(message: Message) -> None:
    assert value_of(message) == expected(message)

import time
from contextlib import suppress

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2
from lastmile.common.v1 import parcel_pb2, time_pb2

from libs.grpc_server.decoding import EXCESS_ITEMS_MAX, PLAIN_BYTES_MAX, decode
from libs.grpc_server.errors import InvalidArgumentError
from libs.grpc_server.validation import violations_of

CAR = parcel_pb2.VEHICLE_CAR
REQUESTS, DETAILS, VEHICLES = b"\x0a", b"\x0a", b"\x62"


def delivery(**changes: object) -> delivery_pb2.CreateDeliveryRequest:
    return delivery_pb2.CreateDeliveryRequest(details=delivery_pb2.DeliveryDetails(city_code="BLR", **changes))  # type: ignore[arg-type]  # any field


def fields_of(error: InvalidArgumentError) -> list[tuple[str, str]]:
    return [(violation.field, violation.rule) for violation in error.violations]


@pytest.mark.parametrize(
    ("made", "data", "field"),
    [
        (delivery_pb2.BatchCreateDeliveriesRequest, b"\x0a\x00" * 4_000_000, "requests"),
        (partner_pb2.BatchOnboardPartnersRequest, b"\x0a\x00" * 4_000_000, "requests"),
        (assignment_pb2.MatchRequest, b"\x0a\x00" * 4_000_000, "packages"),
        (assignment_pb2.MatchRequest, b"\x12\x00" * 4_000_000, "partners"),
        (delivery_pb2.ListDeliveriesRequest, b"\x18\x01" * 4_000_000, "states"),
    ],
)
def test_a_list_of_millions_is_refused_by_name_at_once(made: type[Message], data: bytes, field: str) -> None:
    began_s = time.thread_time()
    with pytest.raises(InvalidArgumentError) as refused:
        decode(data, made)
    assert time.thread_time() - began_s < 1
    assert fields_of(refused.value) == [(field, "repeated.max_items")]


@pytest.mark.parametrize(
    "vehicles",
    [
        pytest.param(delivery(vehicles=[CAR] * 3_000_000), id="packed"),
        pytest.param(delivery_pb2.CreateDeliveryRequest.FromString(b""), id="one by one"),
    ],
)
def test_a_row_with_millions_of_items_keeps_one_too_many_and_costs_the_others_nothing(vehicles: Message) -> None:
    data = vehicles.SerializeToString()
    if not data:
        inner = b"\x60\x05" * 2_000_000 + delivery(merchant_reference="x").details.SerializeToString()
        data = DETAILS + varint(len(inner)) + inner
    good = delivery(merchant_reference="good").SerializeToString()
    rows = b"".join(REQUESTS + varint(len(row)) + row for row in (good, data, good))
    request = decode(rows, delivery_pb2.BatchCreateDeliveriesRequest)
    assert isinstance(request, delivery_pb2.BatchCreateDeliveriesRequest)
    first, long, last = request.requests
    assert first.details.merchant_reference == last.details.merchant_reference == "good"
    assert 6 < len(long.details.vehicles) <= 6 + EXCESS_ITEMS_MAX + 1
    assert "details.vehicles" in {violation.field for violation in violations_of(long)}


def test_what_follows_a_list_that_is_a_little_too_long_is_still_there() -> None:
    slots = [time_pb2.TimeWindow() for _ in range(600)]
    profile = partner_pb2.PartnerProfile(display_name="Asha", preferred_zones=["tdr1"] * 300)
    row = partner_pb2.OnboardPartnerRequest(profile=profile, shift_slots=slots)
    data = partner_pb2.BatchOnboardPartnersRequest(requests=[row]).SerializeToString()
    request = decode(data, partner_pb2.BatchOnboardPartnersRequest)
    assert isinstance(request, partner_pb2.BatchOnboardPartnersRequest)
    assert len(request.requests[0].shift_slots) == 65
    assert len(request.requests[0].profile.preferred_zones) == 51
    assert request.requests[0].profile.display_name == "Asha"


def test_millions_of_fields_that_are_no_list_are_refused_at_once() -> None:
    inner = b"\x22\x00" * 4_000_000  # the pickup, again and again
    began_s = time.thread_time()
    with pytest.raises(InvalidArgumentError):
        decode(DETAILS + varint(len(inner)) + inner, delivery_pb2.CreateDeliveryRequest)
    assert time.thread_time() - began_s < 3


@given(
    rows=st.integers(0, 200), vehicles=st.integers(0, 6), reference=st.text(max_size=100), cod=st.integers(0, 10**12)
)
def test_a_request_within_its_limits_is_what_was_sent(rows: int, vehicles: int, reference: str, cod: int) -> None:
    row = delivery(vehicles=[CAR] * vehicles, merchant_reference=reference, weight_g=7)
    row.details.cash_on_delivery.amount_minor = cod
    sent = delivery_pb2.BatchCreateDeliveriesRequest(requests=[row] * rows)
    assert decode(sent.SerializeToString(), delivery_pb2.BatchCreateDeliveriesRequest) == sent


@given(
    data=st.binary(max_size=200).map(lambda noise: noise + b"\x0a\x00" * PLAIN_BYTES_MAX) | st.binary(max_size=3_000)
)
def test_whatever_comes_is_a_message_or_refused(data: bytes) -> None:
    with suppress(InvalidArgumentError):
        decode(data, delivery_pb2.BatchCreateDeliveriesRequest)


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lastmile.assignment.v1 import city_pb2, delivery_pb2

from libs.grpc_server import paging
from libs.grpc_server.errors import InvalidArgumentError

KEY = "01a20000-0000-7000-8000-000000000000"


def test_a_list_goes_on_after_the_key_that_its_token_holds() -> None:
    token = paging.encode(city_pb2.ListCitiesRequest(page_size=3), "BLR")
    assert paging.decode(city_pb2.ListCitiesRequest(page_size=9, page_token=token)) == "BLR"
    assert paging.decode(city_pb2.ListCitiesRequest()) is None


def test_a_token_of_another_list_or_other_filters_is_refused() -> None:
    token = paging.encode(delivery_pb2.ListDeliveriesRequest(city_code="BLR"), KEY)
    for request in (
        delivery_pb2.ListDeliveriesRequest(city_code="DEL", page_token=token),
        city_pb2.ListCitiesRequest(page_token=token),
    ):
        with pytest.raises(InvalidArgumentError):
            paging.decode(request)


@pytest.mark.parametrize("key", ["\0", "BLR\0", "\n", "\x7f", ""])
def test_a_forged_token_with_what_no_key_holds_is_refused(key: str) -> None:
    token = paging.encode(city_pb2.ListCitiesRequest(), key)
    with pytest.raises(InvalidArgumentError):
        paging.decode(city_pb2.ListCitiesRequest(page_token=token))


@given(token=st.text(min_size=1, max_size=200))
def test_whatever_token_comes_is_refused_or_a_key(token: str) -> None:
    try:
        key = paging.decode(city_pb2.ListCitiesRequest(page_token=token))
    except InvalidArgumentError as error:
        assert [violation.field for violation in error.violations] == ["page_token"]  # noqa: PT017 - or it is a key
    else:
        assert key

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message as AsgiMessage

from services.gateway.app import service_descriptors
from services.gateway.rest.codec import GoogleJsonCodec
from services.gateway.rest.problems import Problem, ProblemError
from services.gateway.rest.requests import SMALL_BODY_BYTES, BodyMemory, message_of, read_body
from services.gateway.rest.routes import Route, routes_of

ROUTES = routes_of(service_descriptors())
CODEC = GoogleJsonCodec()
JSON_TYPE = "application/json; charset=utf-8"
ID, OTHER = "01a20000-0000-7000-8000-000000000000", "01a20000-0000-7000-8000-000000000001"


def route(verb: str, template: str) -> Route:
    return next(found for found in ROUTES if (found.verb, found.template) == (verb, template))


LIST = route("GET", "/v1/deliveries")
CANCEL = route("POST", "/v1/deliveries/{delivery_id}:cancel")
POLICY = next(found for found in ROUTES if found.template == "/v1/cities/{code}/policy")


def made(of: Route, *path: str, query: str = "", body: Any = None, media_type: str = JSON_TYPE) -> Message:
    pairs = [tuple(pair.split("=", 1)) for pair in query.split("&") if pair]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    return message_of(of, path, [(name, value) for name, value in pairs], media_type, raw, CODEC)


def refused(of: Route, *path: str, **given_: Any) -> Problem:
    with pytest.raises(ProblemError) as error:
        made(of, *path, **given_)
    return error.value.problem


def test_a_query_becomes_fields_by_either_name_and_lists_by_repetition() -> None:
    query = f"merchantId={ID}&page_size=7&states=DELIVERY_STATE_PENDING&states=DELIVERY_STATE_OFFERED"
    request = made(LIST, query=query + "&createdFrom=2027-01-01T00:00:00Z")
    assert request.merchant_id == ID  # type: ignore[attr-defined]  # of a type made at run time
    assert request.page_size == 7  # type: ignore[attr-defined]  # of a type made at run time
    assert len(request.states) == 2  # type: ignore[attr-defined]  # of a type made at run time
    assert request.created_from.seconds == 1_798_761_600  # type: ignore[attr-defined]  # of a type made at run time


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("unheardOf=1", "unheardOf", "query.unknown"),
        ("pageSize=1&page_size=2", "page_size", "query.repeated"),
        ("pageSize=many", "pageSize", "json.form"),
        ("createdFrom=yesterday", "createdFrom", "json.form"),
        ("states=GONE", "states[0]", "json.form"),
    ],
)
def test_a_wrong_query_is_named(query: str, field: str, rule: str) -> None:
    problem = refused(LIST, query=query)
    assert (problem.status, problem.reason) == (400, "INVALID_ARGUMENT")
    assert [(name, broken) for name, _, broken in problem.errors] == [(field, rule)]


def test_every_wrong_query_parameter_is_named_at_once() -> None:
    assert len(refused(LIST, query="a=1&b=2&pageSize=1&pageSize=2").errors) == 3


def test_the_path_fills_its_field_and_must_agree_with_the_body() -> None:
    assert made(CANCEL, ID, body={"note": "late"}).delivery_id == ID  # type: ignore[attr-defined]  # made at run time
    assert made(CANCEL, ID, body={"deliveryId": ID}) == made(CANCEL, ID, body={"delivery_id": ID})
    for name in ("deliveryId", "delivery_id"):
        assert refused(CANCEL, ID, body={name: OTHER}).errors[0][2] == "path.agrees"


def test_a_body_where_none_belongs_is_refused_and_a_missing_one_is_empty() -> None:
    assert refused(LIST, body={}).reason == "UNEXPECTED_BODY"
    assert made(CANCEL, ID, media_type="application/json") == made(CANCEL, ID, body={})


def test_a_body_of_another_media_type_is_refused() -> None:
    for media_type in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        problem = refused(CANCEL, ID, body={}, media_type=media_type)
        assert (problem.status, problem.headers) == (415, {"Accept": "application/json"})
    assert made(CANCEL, ID, body={}, media_type="Application/JSON;charset=utf-8")


def test_a_query_beside_a_whole_body_is_refused() -> None:
    assert refused(CANCEL, ID, body={}, query="note=late").errors[0][2] == "query.unknown"


def test_a_body_that_is_one_field_leaves_the_rest_to_path_and_query() -> None:
    assert POLICY.body not in {"", "*"}
    request = made(POLICY, "BLR", body={"windowMs": 50})
    assert request.code == "BLR"  # type: ignore[attr-defined]  # of a type made at run time
    assert getattr(request, POLICY.body).window_ms == 50
    assert refused(POLICY, "BLR", body={"windowMs": "x"}).errors[0][0] == f"{POLICY.body}.windowMs"


JSON_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@given(
    st.sampled_from(ROUTES),
    st.lists(st.tuples(st.sampled_from(["pageSize", "states", "merchantId", "pageToken", "x"]), st.text(max_size=9))),
    st.sampled_from(["", "application/json", "text/plain"]),
    JSON_BODIES | st.binary(max_size=20),
    st.text(max_size=20),
)
def test_whatever_is_sent_becomes_a_message_or_a_refusal_that_says_why(
    of: Route, query: list[tuple[str, str]], media_type: str, body: bytes, value: str
) -> None:
    problem = message = None
    try:
        message = message_of(of, [value] * len(of.path_fields), query, media_type, body, CODEC)
    except ProblemError as error:
        problem = error.problem
    if problem is not None:
        assert problem.status in {400, 415}
        assert problem.detail
    else:
        assert message is not None
        assert message.DESCRIPTOR is of.method.input_type


def request_of(chunks: list[bytes], headers: dict[str, str]) -> tuple[Request, list[bytes]]:
    """A request whose body comes in chunks, and the chunks that nobody has asked for yet."""
    left = list(chunks)

    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive), left


async def test_a_body_within_its_limit_arrives_whole() -> None:
    request, left = request_of([b"ab", b"", b"cd"], {"Content-Length": "4"})
    assert await read_body(request, 4, lambda _: None) == b"abcd"
    assert not left


@pytest.mark.parametrize(("headers", "read"), [({"Content-Length": "5"}, 0), ({}, 3), ({"Content-Length": "1"}, 3)])
async def test_a_body_above_its_limit_is_refused_without_reading_on(headers: dict[str, str], read: int) -> None:
    request, left = request_of([b"ab"] * 10, headers)
    with pytest.raises(ProblemError) as refusal:
        await read_body(request, 4, lambda _: None)
    assert refusal.value.problem.status == 413
    assert refusal.value.problem.headers == {"Connection": "close"}
    assert len(left) == 10 - read


async def test_large_bodies_share_a_bounded_memory_and_small_ones_need_none_of_it() -> None:
    memory, size = BodyMemory(3 * SMALL_BODY_BYTES), 2 * SMALL_BODY_BYTES
    large, small = [b"x" * SMALL_BODY_BYTES] * 2, [b"x" * SMALL_BODY_BYTES]
    with memory.reserved() as grow:
        assert len(await read_body(request_of(large, {})[0], size, grow)) == size
        with memory.reserved() as grow_other, pytest.raises(ProblemError) as refusal:
            await read_body(request_of(large, {})[0], size, grow_other)
        assert (refusal.value.problem.status, refusal.value.problem.retryable) == (503, True)
        with memory.reserved() as grow_other:
            assert len(await read_body(request_of(small, {})[0], size, grow_other)) == SMALL_BODY_BYTES
    with memory.reserved() as grow:
        assert len(await read_body(request_of(large, {})[0], size, grow)) == size

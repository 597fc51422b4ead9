"""Whatever a client sends wrong gets a clear refusal, and changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from libs.embedded.stack import RunningStack
from tests.rest import Rest, details

HUGE_BYTES, CHUNK = 100_000_000, b"x" * 1_000_000
GROWTH_BYTES_MAX = 40_000_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pickup": {"latitudeDeg": "NaN", "longitudeDeg": 77.6}}, "details.pickup.latitudeDeg"),
        ({"pickup": {"latitudeDeg": "Infinity", "longitudeDeg": 77.6}}, "details.pickup.latitudeDeg"),
        ({"drop": {"latitudeDeg": 0, "longitudeDeg": -140}}, "details.drop"),
        ({"drop": {"latitudeDeg": 91, "longitudeDeg": 0}}, "details.drop.latitudeDeg"),
        ({"weightG": -1}, "details.weightG"),
        ({"dimensions": {"lengthMm": 0, "widthMm": 1, "heightMm": 1}}, "details.dimensions.lengthMm"),
        ({"dropWindow": {"start": "2001-01-01T00:00:00Z", "end": "2001-01-02T00:00:00Z"}}, "details.dropWindow.end"),
        ({"dropWindow": {"start": "2041-01-02T00:00:00Z", "end": "2041-01-01T00:00:00Z"}}, "details.dropWindow"),
        ({"cityCode": "nowhere at all"}, "details.cityCode"),
        ({"merchantReference": "a\u0001b"}, "details.merchantReference"),
        ({"declaredValue": {"currencyCode": "rupees", "amountMinor": "-5"}}, "details.declaredValue.amountMinor"),
    ],
)
def test_a_wrong_value_is_named(ops: Rest, change: dict[str, Any], field: str) -> None:
    merchant_id = ops.merchant()
    body = {"details": details(ops.city(), merchantId=merchant_id) | change}
    refused = ops.ask("POST", "/v1/deliveries", body)
    assert refused.status_code == 400, refused.text
    assert field in {error["field"] for error in refused.json()["errors"]}, refused.text
    assert not refused.json()["retryable"]
    assert ops.get(f"/v1/deliveries?merchantId={merchant_id}")["deliveries"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"details": 7}',
        b'{"details": {"weightG": "heavy"}}',
        b'{"details": {"weightG": 1e400}}',
        b'{"details": {"unheardOf": 1}}',
        b'{"details": {"cityCode": "\xff\xfe"}}',
        b'{"details": {"dropWindow": {"start": "yesterday"}}}',
        b'{"details": ' + b'{"details": ' * 5_000,
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_a_bad_request(ops: Rest, body: bytes) -> None:
    refused = ops.http.post("/v1/deliveries", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 400, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"]


def test_everything_wrong_is_named_at_once(ops: Rest) -> None:
    body = {"details": details(ops.city(), weightG=-1, cityCode="x", dimensions={}, pickup={"latitudeDeg": 100})}
    fields = {error["field"] for error in ops.ask("POST", "/v1/deliveries", body).json()["errors"]}
    assert {
        "details.weightG",
        "details.cityCode",
        "details.pickup.latitudeDeg",
        "details.dimensions.lengthMm",
    } <= fields


def test_good_rows_of_a_batch_are_never_lost_to_bad_ones(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    rows = [{"details": details(city_code, merchantId=merchant_id)} for _ in range(50)]
    for place in (0, 17, 49):
        rows[place]["details"]["weightG"] = -place - 1
    results = ops.post("/v1/deliveries:batchCreate", {"requests": rows})["results"]
    refused = [place for place, result in enumerate(results) if "error" in result]
    assert refused == [0, 17, 49]
    assert results[17]["error"]["fieldViolations"][0]["field"] == "details.weight_g"
    assert len(ops.get(f"/v1/deliveries?merchantId={merchant_id}")["deliveries"]) == 47


def test_a_batch_above_its_limit_is_refused_whole(ops: Rest) -> None:
    refused = ops.ask("POST", "/v1/deliveries:batchCreate", {"requests": [{}] * 1_001})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "requests"
    million = ("[" + "{}," * 999_999 + "{}]").encode()
    content = b'{"requests": ' + million + b"}"
    answer = ops.http.post("/v1/deliveries:batchCreate", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text


def test_a_huge_body_is_refused_early_and_costs_no_memory(running_stack: RunningStack, ops: Rest) -> None:
    gateway = psutil.Process(running_stack.process("gateway").pid)
    before = gateway.memory_info().rss

    def endless() -> Iterator[bytes]:
        for _ in range(HUGE_BYTES // len(CHUNK)):
            yield CHUNK

    for headers in ({"Content-Length": str(HUGE_BYTES)}, {}):
        try:
            status = ops.http.post("/v1/deliveries", content=endless(), headers=headers).status_code
        except httpx.TransportError:
            # The gateway has answered and hung up while the rest was still being sent.
            status = 413
        assert status == 413
    assert ops.ask("GET", "/v1/cities").status_code == 200
    assert gateway.memory_info().rss - before < GROWTH_BYTES_MAX


def test_unknown_ids_verbs_media_types_and_query_fields_say_so(ops: Rest) -> None:
    unknown = "01a20000-0000-7000-8000-000000000000"
    assert ops.ask("GET", f"/v1/deliveries/{unknown}").json()["reason"] == "DELIVERY_NOT_FOUND"
    assert ops.ask("GET", "/v1/deliveries/no-uuid").status_code == 400
    assert ops.ask("GET", "/v1/deliveries?unheardOf=1").status_code == 400
    assert ops.ask("GET", "/v1/deliveries?pageToken=forged").status_code == 400
    assert ops.ask("PATCH", "/v1/deliveries").status_code == 405
    wrong_type = ops.http.post("/v1/deliveries", content=b"<a/>", headers={"Content-Type": "text/xml"})
    assert wrong_type.status_code == 415
    assert json.loads(wrong_type.text)["reason"]

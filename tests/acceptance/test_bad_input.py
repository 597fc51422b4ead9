"""Whatever a client sends wrong gets a clear refusal, and changes nothing."""

import gzip
import json
import time
from typing import Any

import pytest

from tests.rest import Rest, details

JSON = {"Content-Type": "application/json"}


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
        b'{"details": {"cityCode": "\\ud800"}}',
        b'{"details": {"weightG": 1, "weightG": 2}}',
        b'{"details": {"weightG": ' + b"9" * 10_000 + b"}}",
        '{"details": {}}'.encode("utf-16"),
        b'{"details": {"dropWindow": {"start": "yesterday"}}}',
        b'{"details": ' + b'{"details": ' * 5_000,
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_a_bad_request(ops: Rest, body: bytes) -> None:
    refused = ops.http.post("/v1/deliveries", content=body, headers=JSON)
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


def test_a_matching_rule_that_does_not_exist_is_named_with_those_that_do(ops: Rest) -> None:
    code = ops.city()
    policy = ops.get(f"/v1/cities/{code}")["city"]["policy"]
    known = {rule["name"]: rule for rule in ops.get("/v1/matching-rules")["rules"]}
    for rules, field, said in (
        ({"pick_up": {}}, "policy.rules['pick_up']", ", ".join(sorted(known))),
        ({"waiting": {"parameters": {"time_s": 3}}}, "policy.rules['waiting'].parameters['time_s']", "patience_s"),
        ({"waiting": {"weight": "NaN"}}, "policy.rules['waiting'].weight", ""),
        ({"waiting": {"weight": []}}, "policy.rules['waiting'].weight", "must be a number"),
        ({"waiting": {"patience_s": 3}}, "policy.rules['waiting'].patience_s", "is no field"),
    ):
        refused = ops.ask("PUT", f"/v1/cities/{code}/policy", policy | {"rules": rules})
        assert refused.status_code == 400, refused.text
        (error,) = refused.json()["errors"]
        assert error["field"] == field
        assert said in error["description"]
    assert ops.get(f"/v1/cities/{code}")["city"]["policy"] == policy
    changed = policy | {"rules": {"waiting": {"parameters": {"patience_s": 3}}}}
    answer = ops.ask("PUT", f"/v1/cities/{code}/policy", changed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["city"]["policy"]["rules"]["waiting"]["parameters"] == {"patience_s": 3}


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


def test_each_row_of_a_batch_is_refused_for_its_own_fault(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    past = {"start": "2001-01-01T00:00:00Z", "end": "2001-01-02T00:00:00Z"}
    faults: list[tuple[dict[str, Any], str]] = [
        ({"pickup": {"latitudeDeg": "NaN", "longitudeDeg": 77.6}}, "details.pickup.latitude_deg"),
        ({"drop": {"latitudeDeg": 0, "longitudeDeg": -140}}, "details.drop"),
        ({"dropWindow": past}, "details.drop_window.end"),
        ({"cityCode": "GONE1"}, "details.city_code"),
        ({"merchantId": "01a20000-0000-7000-8000-000000000000"}, "details.merchant_id"),
    ]
    rows = [{"details": details(city_code, merchantId=merchant_id) | change} for change, _ in (*faults, ({}, ""))]
    *refused, good = ops.post("/v1/deliveries:batchCreate", {"requests": [*rows[:5], {}, rows[5]]})["results"]
    for result, (_, field) in zip(refused, [*faults, ({}, "details")], strict=True):
        named = {violation["field"] for violation in result["error"]["fieldViolations"]}
        assert field in named, (field, result)
        assert "delivery" not in result
    assert [found["id"] for found in ops.get(f"/v1/deliveries?merchantId={merchant_id}")["deliveries"]] == [
        good["delivery"]["id"]
    ]


def test_rows_that_have_no_form_are_named_and_nothing_is_taken(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    rows: list[Any] = [{"details": details(city_code, merchantId=merchant_id)} for _ in range(4)]
    rows[1]["details"] |= {"weightG": "heavy", "unheardOf": 1}
    rows[3] = 7
    refused = ops.ask("POST", "/v1/deliveries:batchCreate", {"requests": rows})
    assert refused.status_code == 400
    assert {error["field"] for error in refused.json()["errors"]} == {
        "requests[1].details.weightG",
        "requests[1].details.unheardOf",
        "requests[3]",
    }
    assert ops.get(f"/v1/deliveries?merchantId={merchant_id}")["deliveries"] == []


def test_a_row_with_a_million_items_is_refused_at_once_and_costs_the_other_rows_nothing(ops: Rest) -> None:
    row = {"details": details(ops.city(), merchantId=ops.merchant())}
    long = {"details": row["details"] | {"vehicles": [1] * 1_000_000}}
    began_s = time.monotonic()
    good, refused = ops.post("/v1/deliveries:batchCreate", {"requests": [row, long]})["results"]
    assert time.monotonic() - began_s < 15, "a second at most on a quiet machine; minutes where each item is told"
    assert "delivery" in good
    assert "details.vehicles" in {violation["field"] for violation in refused["error"]["fieldViolations"]}


def test_a_compressed_body_is_refused_as_such(ops: Rest) -> None:
    refused = ops.http.post("/v1/deliveries", content=gzip.compress(b"{}"), headers=JSON | {"Content-Encoding": "gzip"})
    assert (refused.status_code, refused.json()["reason"]) == (415, "UNSUPPORTED_ENCODING")


def test_a_problem_calls_fields_what_json_calls_them(ops: Rest) -> None:
    body = {"details": details(ops.city(), merchantId=ops.merchant(), weightG=-1)}
    assert ops.ask("POST", "/v1/deliveries", body).json()["detail"].startswith("details.weightG: must be")


def test_an_error_with_more_fields_than_a_client_takes_still_arrives(ops: Rest) -> None:
    refused = ops.ask("POST", "/v1/matches:solve", {"packages": [{"id": "x"}] * 200})
    assert refused.status_code == 400
    assert len(refused.json()["errors"]) > 20
    assert int(refused.json()["metadata"]["violations_omitted"]) > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Request-Timeout-Ms", "soon"),
        ("X-Request-Timeout-Ms", "1"),
        ("X-Request-Timeout-Ms", "0000001000999999"),
        ("X-Request-Timeout-Ms", "-1000"),
        ("Idempotency-Key", "a b"),
        ("Idempotency-Key", "x" * 256),
        ("Consistency-Token", "forged"),
    ],
)
def test_a_wrong_header_is_named(ops: Rest, name: str, value: str) -> None:
    refused = ops.http.get("/v1/cities", headers={name: value})
    assert refused.status_code == 400, refused.text
    assert refused.json()["errors"][0]["field"].lower() == name.lower()


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

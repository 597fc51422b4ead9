"""Who may see and do what, over REST."""

import re
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import FieldDescriptor

from libs.embedded.stack import RunningStack
from libs.grpc_server.access import method_access
from services.gateway.app import service_descriptors
from services.gateway.rest.routes import Route, find_field, routes_of
from tests.rest import Json, Rest, details, until

ROUTES = [(route, method_access(route.method)) for route in routes_of(service_descriptors())]
UNKNOWN = "01a20000-0000-7000-8000-000000000000"


def asked(route: Route) -> tuple[str, str, Json | None]:
    """Verb, path and body of a call that only its caller can be wrong about."""
    values = iter(
        UNKNOWN if find_field(route.method, path).cpp_type == FieldDescriptor.CPPTYPE_STRING else "1"
        for path in route.path_fields
    )
    return route.verb, re.sub(r"\{[^}]+\}", lambda _: next(values), route.template), {} if route.body else None


def test_a_merchant_sees_its_own_deliveries_only(ops: Rest) -> None:
    city_code = ops.city()
    mine, other = ops.merchant(), ops.merchant()
    me, stranger = ops.key("merchant", merchantId=mine), ops.key("merchant", merchantId=other)
    made = me.ask("POST", "/v1/deliveries", {"details": details(city_code)})
    assert made.status_code == 200, made.text
    delivery_id = made.json()["delivery"]["id"]
    assert made.json()["delivery"]["details"]["merchantId"] == mine
    stranger.http.headers["Consistency-Token"] = made.headers["Consistency-Token"]

    for verb, path in (
        ("GET", f"/v1/deliveries/{delivery_id}"),
        ("GET", f"/v1/deliveries/{delivery_id}/history"),
        ("GET", f"/v1/deliveries/{delivery_id}/explanation"),
        ("POST", f"/v1/deliveries/{delivery_id}:cancel"),
        ("GET", f"/v1/merchants/{mine}"),
    ):
        answer = stranger.ask(verb, path, {} if verb == "POST" else None)
        # Just what an id that nobody has gets.
        nobodys = stranger.ask(verb, path.replace(delivery_id, UNKNOWN), {} if verb == "POST" else None)
        assert answer.status_code == nobodys.status_code == 404, (path, answer.text)
        assert answer.json()["reason"] == nobodys.json()["reason"]
        assert delivery_id in path or answer.json()["reason"] == "MERCHANT_NOT_FOUND"
    assert stranger.get("/v1/deliveries")["deliveries"] == []
    assert [d["id"] for d in me.get("/v1/deliveries")["deliveries"]] == [delivery_id]
    assert ops.state(delivery_id) != "CANCELLED"


def test_a_merchant_cannot_create_for_another_or_list_anothers(ops: Rest) -> None:
    city_code, mine, other = ops.city(), ops.merchant(), ops.merchant()
    me = ops.key("merchant", merchantId=mine)
    refused = me.ask("POST", "/v1/deliveries", {"details": details(city_code, merchantId=other)})
    assert refused.status_code in {400, 403, 404}, refused.text
    batch = {"requests": [{"details": details(city_code, merchantId=whose)} for whose in (mine, other)]}
    own, others = me.post("/v1/deliveries:batchCreate", batch)["results"]
    assert "delivery" in own
    assert "error" in others
    listed = me.ask("GET", f"/v1/deliveries?merchantId={other}")
    assert listed.status_code in {400, 403} or listed.json()["deliveries"] == []
    assert ops.get(f"/v1/deliveries?merchantId={other}")["deliveries"] == []


def test_the_same_idempotency_key_of_two_merchants_is_two_keys(ops: Rest) -> None:
    city_code = ops.city()
    made = []
    for _ in range(2):
        me = ops.key("merchant", merchantId=ops.merchant())
        body = {"details": details(city_code)}
        first = me.ask("POST", "/v1/deliveries", body, Idempotency_Key="one")
        again = me.ask("POST", "/v1/deliveries", body, Idempotency_Key="one")
        other = me.ask("POST", "/v1/deliveries", {"details": details(city_code)}, Idempotency_Key="one")
        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert other.status_code == 422
        made.append(first.json()["delivery"]["id"])
    assert made[0] != made[1]


def test_a_partner_sees_itself_and_what_it_is_offered_only(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    partner_id = ops.partner(city_code)
    offered = ops.delivery(city_code, merchant_id)
    offer = until(lambda: ops.live_offer(offered))
    other_id = ops.partner(
        city_code, capacity={"parcelsMax": 1, "weightGMax": "1", "volumeCm3Max": "1", "sideMmMax": 1}
    )
    partner, other = ops.key("partner", partnerId=partner_id), ops.key("partner", partnerId=other_id)
    for caller in (partner, other):
        caller.http.headers["Consistency-Token"] = ops.http.headers["Consistency-Token"]
    assert partner.get(f"/v1/partners/{partner_id}")["partner"]["id"] == partner_id
    assert partner.ask("GET", f"/v1/partners/{other_id}").status_code == 404
    assert [found["id"] for found in partner.get("/v1/offers")["offers"]] == [offer["id"]]
    assert [found["id"] for found in partner.get("/v1/deliveries")["deliveries"]] == [offered]
    assert other.get("/v1/offers")["offers"] == other.get("/v1/deliveries")["deliveries"] == []
    assert other.ask("GET", f"/v1/deliveries/{offered}").status_code == 404
    for verb in ("accept", "reject"):
        assert other.ask("POST", f"/v1/offers/{offer['id']}:{verb}", {}).status_code in {400, 404}
    status = {"state": "DELIVERY_STATE_PICKED_UP"}
    assert other.ask("POST", f"/v1/deliveries/{offered}:recordStatus", status).status_code == 404
    assert partner.ask("POST", f"/v1/offers/{offer['id']}:accept", {}).status_code == 200


@pytest.mark.parametrize("role", ["merchant", "partner"])
def test_a_role_is_refused_what_is_not_for_it(ops: Rest, role: str) -> None:
    owner = {"merchantId": ops.merchant()} if role == "merchant" else {"partnerId": ops.partner(ops.city())}
    caller = ops.key(role, **owner)
    for route, access in ROUTES:
        if not access.anonymous:
            answer = caller.ask(*asked(route))
            assert (answer.status_code == 403) == (role not in access.roles), (route.rpc, answer.text)
            assert answer.status_code != 403 or answer.json()["reason"] == "ROLE_NOT_ALLOWED"


def wrong_credentials() -> Iterator[dict[str, str]]:
    for secret in ("lm_" + "x" * 40, "x", "a.b.c", "\xff" * 20, "lm_", "null"):
        yield {"Authorization": f"Bearer {secret}"}
        yield {"X-Api-Key": secret}
    yield from ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic b3BzOm9wcw=="}, {"X-Api-Key": ""})


def test_without_a_valid_credential_nothing_answers(ops: Rest) -> None:
    ops.http.headers.pop("Authorization")
    for route, access in ROUTES:
        answer = ops.ask(*asked(route))
        assert (answer.status_code == 401) == (not access.anonymous), (route.rpc, answer.text)
    for headers in wrong_credentials():
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = ops.http.get("/v1/cities", headers=raw)
        assert answer.status_code == 401, (headers, answer.text)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_opens_as_bearer_as_header_and_as_the_token_made_from_it(ops: Rest, running_stack: RunningStack) -> None:
    key = running_stack.ops_api_key
    token = ops.post("/v1/tokens", {"apiKey": key})["accessToken"]
    ops.http.headers.pop("Authorization")
    for headers in ({"X-Api-Key": key}, {"Authorization": f"bearer {key}"}, {"Authorization": f"Bearer {token}"}):
        assert ops.http.get("/v1/cities", headers=headers).status_code == 200
    forged = token[:-6] + ("A" * 6 if not token.endswith("A" * 6) else "B" * 6)
    assert ops.http.get("/v1/cities", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


def test_a_revoked_key_opens_nothing(ops: Rest) -> None:
    made = ops.post("/v1/apiKeys", {"name": "short", "role": "ROLE_OPS"})
    caller = Rest(ops.base_url, made["secret"])
    token = Rest(ops.base_url, caller.post("/v1/tokens", {"apiKey": made["secret"]})["accessToken"])
    assert caller.ask("GET", "/v1/cities").status_code == token.ask("GET", "/v1/cities").status_code == 200
    revoked = ops.ask("DELETE", f"/v1/apiKeys/{made['apiKey']['id']}")
    assert revoked.status_code == 200, revoked.text
    assert caller.ask("GET", "/v1/cities").status_code == 401
    assert token.ask("GET", "/v1/cities").status_code == 401
    assert caller.ask("POST", "/v1/tokens", {"apiKey": made["secret"]}).status_code == 401
    again = ops.ask("DELETE", f"/v1/apiKeys/{made['apiKey']['id']}")
    assert again.json()["apiKey"]["revokedAt"] == revoked.json()["apiKey"]["revokedAt"]


def test_a_key_says_whose_it_is_and_is_shown_once(ops: Rest) -> None:
    merchant_id = ops.merchant()
    for body, field in (
        ({"role": "ROLE_MERCHANT"}, "merchantId"),
        ({"role": "ROLE_OPS", "merchantId": merchant_id}, "merchantId"),
        ({"role": "ROLE_MERCHANT", "merchantId": UNKNOWN}, "merchantId"),
        ({"role": "ROLE_PARTNER", "partnerId": UNKNOWN}, "partnerId"),
        ({"role": "ROLE_UNSPECIFIED"}, "role"),
        ({"role": "ROLE_OPS", "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
    ):
        refused = ops.ask("POST", "/v1/apiKeys", {"name": "test", **body})
        assert refused.status_code == 400, (body, refused.text)
        assert field in {error["field"] for error in refused.json()["errors"]}, (body, refused.text)
    made = ops.post("/v1/apiKeys", {"name": "shown once", "role": "ROLE_MERCHANT", "merchantId": merchant_id})
    listed = until(lambda: [key for key in ops.get("/v1/apiKeys")["apiKeys"] if key["id"] == made["apiKey"]["id"]])
    assert listed == [made["apiKey"]]
    assert made["secret"] not in str(listed)

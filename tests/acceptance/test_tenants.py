"""Who may see and do what, over REST."""

from tests.rest import Rest, details


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
        assert answer.status_code == 404, (path, answer.text)
        assert delivery_id in path or answer.json()["reason"] == "MERCHANT_NOT_FOUND"
    assert stranger.get("/v1/deliveries")["deliveries"] == []
    assert [d["id"] for d in me.get("/v1/deliveries")["deliveries"]] == [delivery_id]
    assert ops.state(delivery_id) != "CANCELLED"


def test_a_merchant_cannot_create_for_another_or_list_anothers(ops: Rest) -> None:
    city_code, mine, other = ops.city(), ops.merchant(), ops.merchant()
    me = ops.key("merchant", merchantId=mine)
    refused = me.ask("POST", "/v1/deliveries", {"details": details(city_code, merchantId=other)})
    assert refused.status_code in {400, 403, 404}, refused.text
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


def test_roles_and_keys_open_only_their_own_doors(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    partner_id, other_partner = ops.partner(city_code), ops.partner(city_code)
    merchant, partner = ops.key("merchant", merchantId=merchant_id), ops.key("partner", partnerId=partner_id)
    for caller, verb, path in (
        (merchant, "GET", "/v1/windows"),
        (merchant, "POST", "/v1/cities"),
        (merchant, "GET", "/v1/apiKeys"),
        (partner, "POST", "/v1/deliveries"),
        (partner, "GET", "/v1/merchants"),
    ):
        answer = caller.ask(verb, path, {} if verb == "POST" else None)
        assert answer.status_code == 403, (path, answer.text)
    partner.http.headers["Consistency-Token"] = ops.http.headers["Consistency-Token"]
    assert partner.ask("GET", f"/v1/partners/{partner_id}").status_code == 200
    assert partner.ask("GET", f"/v1/partners/{other_partner}").status_code == 404
    assert Rest(ops.base_url, "lm_" + "x" * 40).ask("GET", "/v1/cities").status_code == 401


def test_a_revoked_key_opens_nothing(ops: Rest) -> None:
    made = ops.post("/v1/apiKeys", {"name": "short", "role": "ROLE_OPS"})
    caller = Rest(ops.base_url, made["secret"])
    ops.get("/v1/apiKeys")
    revoked = ops.ask("DELETE", f"/v1/apiKeys/{made['apiKey']['id']}")
    assert revoked.status_code == 200, revoked.text
    assert caller.ask("GET", "/v1/cities").status_code == 401

"""A newcomer sees what customers would get: from a delivery with a contact to the sandbox inbox, over REST alone."""

import uuid

from libs.embedded.stack import RunningStack
from tests.rest import Json, Rest, details, until

ASHA = {"name": "Asha", "phone": "+1 202 555 0143", "email": "asha@example.com"}


def delivered(ops: Rest, merchant_id: str, customer: Json | None = None) -> str:
    """A delivery that has come all its way; returns its id."""
    city = ops.city()
    partner_id = ops.partner(city, acceptance="ACCEPTANCE_AUTOMATIC")
    body = {"details": details(city, merchantId=merchant_id)} | ({"customer": customer} if customer else {})
    delivery_id = ops.post("/v1/deliveries", body)["delivery"]["id"]
    until(lambda: ops.state(delivery_id) == "ASSIGNED")
    for state in ("PICKED_UP", "OUT_FOR_DELIVERY", "DELIVERED"):
        ops.post(f"/v1/deliveries/{delivery_id}:recordStatus", {"state": f"DELIVERY_STATE_{state}"})
    assert partner_id
    return str(delivery_id)


def messages_of(caller: Rest, delivery_id: str) -> list[Json]:
    return list(caller.get(f"/v1/messages?deliveryId={delivery_id}").get("messages", []))


def test_a_customer_gets_texts_in_the_sandbox_inbox(ops: Rest, running_stack: RunningStack) -> None:
    merchant_id = ops.merchant()
    delivery_id = delivered(ops, merchant_id, ASHA)
    found = until(
        lambda: (
            (all_sent := messages_of(ops, delivery_id))
            and any(one["status"] == "out_for_delivery" for one in all_sent)
            and all(
                one["state"] == "MESSAGE_STATE_DELIVERED" for one in all_sent if one["status"] == "out_for_delivery"
            )
            and all_sent
        )
    )
    urgent = next(m for m in found if m["status"] == "out_for_delivery" and m["channel"] == "CHANNEL_SMS")
    assert urgent["maskedAddress"] == "+12*****0143"
    one = ops.get(f"/v1/messages/{urgent['id']}")
    assert one["attempts"][0]["body"].startswith("Your parcel from Test arrives today.")
    assert one["attempts"][0]["provider"] == "inbox"
    merchant = ops.key("merchant", merchantId=merchant_id)
    inbox = merchant.get("/v1/sandbox/inbox")["messages"]
    assert any(m["body"] == one["attempts"][0]["body"] for m in inbox)
    page = ops.ask("GET", "/sandbox/inbox")
    assert page.status_code == 200
    assert "Sandbox inbox" in page.text
    stranger = ops.key("merchant", merchantId=ops.merchant())
    assert messages_of(stranger, delivery_id) == []
    assert stranger.get("/v1/sandbox/inbox").get("messages", []) == []
    assert stranger.ask("GET", f"/v1/messages/{urgent['id']}").status_code == 404
    assert "2025550143" not in running_stack.log_text()


def test_a_message_is_sent_again_only_for_who_asks(ops: Rest) -> None:
    delivery_id = delivered(ops, ops.merchant(), ASHA)
    message = until(
        lambda: next((m for m in messages_of(ops, delivery_id) if m["state"] == "MESSAGE_STATE_DELIVERED"), None)
    )
    ops.post(f"/v1/messages/{message['id']}:resend")
    again = until(
        lambda: (
            (now := ops.get(f"/v1/messages/{message['id']}"))
            and len(now["attempts"]) == 2
            and now["message"]["state"] == "MESSAGE_STATE_DELIVERED"
            and now
        )
    )
    assert [a.get("requestedBy", "") for a in again["attempts"]] == ["", f"ops:{_own_key(ops)}"]


def _own_key(ops: Rest) -> str:
    (bootstrap,) = [key["id"] for key in ops.get("/v1/apiKeys?pageSize=500")["apiKeys"] if key["name"] == "bootstrap"]
    return str(bootstrap)


def test_contacts_that_nobody_could_be_reached_by_are_refused_at_intake(ops: Rest) -> None:
    city, merchant_id = ops.city(), ops.merchant()
    body = {
        "details": details(city, merchantId=merchant_id),
        "customer": {"phone": "12345", "email": "nobody at home"},
    }
    refused = ops.ask("POST", "/v1/deliveries", body)
    assert refused.status_code == 400
    assert "customer.email" in {error["field"] for error in refused.json()["errors"]}
    assert ops.ask("POST", "/v1/deliveries", body | {"customer": {"phone": "12345"}}).status_code == 400
    assert "12345" not in refused.text


def test_templates_are_tried_before_they_are_stored(ops: Rest) -> None:
    merchant_id = ops.merchant()
    merchant = ops.key("merchant", merchantId=merchant_id)
    text = {"status": "delivered", "audience": "AUDIENCE_CUSTOMER", "channel": "CHANNEL_SMS", "language": "en"}
    preview = merchant.post("/v1/templates:preview", {"text": text | {"body": "{{ reference }} is there"}})
    assert preview == {"subject": "", "body": "ORDER-1042 is there", "smsSegments": 1}
    for body, said in (("{{ phone }}", "knows no phone"), ("{{ ", "line 1"), ("{# #}", "renders to nothing")):
        refused = merchant.ask("POST", "/v1/templates", {"text": text | {"body": body}})
        assert refused.status_code == 400
        assert refused.json()["reason"] == "TEMPLATE_INVALID"
        assert said in refused.text
    huge = merchant.ask("POST", "/v1/templates", {"text": text | {"body": "x" * 10_000_000}})
    assert huge.status_code in (400, 413)
    saved = merchant.post("/v1/templates", {"text": text | {"body": "{{ reference }} is there"}})["template"]
    assert (saved["version"], saved["merchantId"]) == ("1", merchant_id)
    again = merchant.post("/v1/templates", {"text": text | {"body": "It is there"}, "expectedVersion": "1"})["template"]
    conflict = merchant.ask("POST", "/v1/templates", {"text": text | {"body": "Late"}, "expectedVersion": "1"})
    assert conflict.json()["reason"] == "VERSION_CONFLICT"
    listed = merchant.get("/v1/templates")["templates"]
    assert [t["version"] for t in listed] == ["2", "1"]
    assert listed[1]["retiredAt"]
    retired = merchant.post(f"/v1/templates/{again['id']}:retire")["template"]
    assert retired["retiredAt"]
    stranger = ops.key("merchant", merchantId=ops.merchant())
    assert stranger.ask("GET", f"/v1/templates/{saved['id']}").status_code == 404
    assert stranger.ask("POST", f"/v1/templates/{saved['id']}:retire", {}).status_code == 404


def test_recipients_say_what_they_want_and_addresses_are_suppressed(ops: Rest) -> None:
    merchant_id = ops.merchant()
    merchant = ops.key("merchant", merchantId=merchant_id)
    email = f"{uuid.uuid4().hex}@example.com"
    contact = {"audience": "AUDIENCE_MERCHANT", "name": "Chai & Co", "email": email}
    made = merchant.ask("PUT", "/v1/recipients", contact).json()["recipient"]
    assert made["addresses"] == [
        {"channel": "CHANNEL_EMAIL", "masked": f"{email[0]}***@example.com", "suppressedReason": ""}
    ]
    wanted = made["preferences"] | {"timeZone": "Mars/Olympus"}
    path = f"/v1/recipients/{made['id']}/preferences"
    assert "time zone" in merchant.ask("PUT", path, {"preferences": wanted}).text
    wanted = made["preferences"] | {"optedOut": ["CHANNEL_SMS"], "mutedStatuses": ["returned"]}
    mistyped = merchant.ask("PUT", path, {"preferences": wanted | {"mutedStatuses": ["deliverd"]}})
    assert (mistyped.status_code, "deliverd" in mistyped.json()["detail"]) == (400, True)
    changed = merchant.ask("PUT", path, {"preferences": wanted, "expectedVersion": "1"}).json()["recipient"]
    assert (changed["version"], changed["preferences"]["optedOut"]) == ("2", ["CHANNEL_SMS"])
    assert merchant.ask("PUT", path, {"preferences": wanted, "expectedVersion": "1"}).status_code == 409
    suppressed = ops.post("/v1/suppressions", {"channel": "CHANNEL_EMAIL", "address": email})["suppression"]
    assert suppressed["reason"] == "BY_HAND"
    seen = ops.get(f"/v1/recipients/{made['id']}")["recipient"]
    assert seen["addresses"][0]["suppressedReason"] == "BY_HAND"
    assert suppressed["id"] in {s["id"] for s in ops.get("/v1/suppressions")["suppressions"]}
    assert ops.ask("DELETE", f"/v1/suppressions/{suppressed['id']}").status_code == 200
    assert ops.ask("DELETE", f"/v1/suppressions/{suppressed['id']}").status_code == 404
    stranger = ops.key("merchant", merchantId=ops.merchant())
    assert stranger.ask("GET", f"/v1/recipients/{made['id']}").status_code == 404
    assert stranger.ask("PUT", path, {"preferences": made["preferences"]}).status_code == 404
    assert stranger.ask("PUT", "/v1/recipients", contact | {"ownerId": merchant_id}).status_code == 400


def test_a_merchant_says_where_its_system_listens(ops: Rest) -> None:
    merchant_id = ops.merchant()
    merchant, path = ops.key("merchant", merchantId=merchant_id), f"/v1/merchants/{merchant_id}/webhook"
    assert merchant.ask("GET", path).status_code == 404
    for url in ("http://example.com/hook", "https://user:word@example.com/", "https://", "nonsense"):
        assert merchant.ask("PUT", path, {"url": url}).status_code == 400
    made = merchant.ask("PUT", path, {"url": "https://hooks.example.com/secret"}).json()
    assert made["secret"].startswith("whsec_")
    assert made["webhook"]["maskedUrl"] == "https://hooks.example.com/***"
    again = merchant.ask("PUT", path, {"url": "https://hooks.example.com/other"}).json()
    assert again["secret"] == ""
    rotated = merchant.post(f"{path}:rotateSecret")
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["webhook"]["previousSecretUntil"]
    assert merchant.get(path)["webhook"]["maskedUrl"] == "https://hooks.example.com/***"
    stranger = ops.key("merchant", merchantId=ops.merchant())
    for verb, body in (("GET", None), ("PUT", {"url": "https://stranger.example.com/"}), ("DELETE", None)):
        assert stranger.ask(verb, path, body).status_code == 404
    assert stranger.ask("POST", f"{path}:rotateSecret", {}).status_code == 404
    assert merchant.ask("DELETE", path).status_code == 200
    assert merchant.ask("GET", path).status_code == 404


def test_ops_see_how_providers_fare(ops: Rest) -> None:
    answer = until(
        lambda: (now := ops.get("/v1/providers")) and now["providers"][0]["circuit"] == "CIRCUIT_STATE_CLOSED" and now
    )
    named = [(p["name"], p["channel"], p["place"]) for p in answer["providers"]]
    assert named == [("inbox", "CHANNEL_EMAIL", 1), ("inbox", "CHANNEL_SMS", 1), ("webhook", "CHANNEL_WEBHOOK", 1)]

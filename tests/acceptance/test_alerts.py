"""An outage on the running platform: ops are told over every way, merchants if they asked, and then that it is over."""

import json
import subprocess
import sys
from typing import Any

from libs.embedded.stack import RunningStack
from tests.acceptance.test_partner_networks import until_well
from tests.live import EventSource
from tests.rest import Json, Rest, details, until
from tests.sandbox_networks import SandboxNetworks

CHANGED, SUBJECT = "lastmile.alert.changed.v1", "network:other"
HANGING: dict[str, Any] = {"answers": False, "faults": {"hang_share": 1.0}}


def the_alert(ops: Rest) -> Json | None:
    """The latest alert of the network."""
    found = ops.get("/v1/alerts?pageSize=500").get("alerts", [])
    return next((alert for alert in found if alert["subject"] == SUBJECT), None)


def e_mails(ops: Rest, alert_id: str) -> list[Json]:
    return [
        message
        for message in ops.get(f"/v1/messages?deliveryId={alert_id}").get("messages", [])
        if message["state"] == "MESSAGE_STATE_DELIVERED"
    ]


def alerts_shown(stack: RunningStack, *options: str) -> str:
    """What `lastmile alerts` prints."""
    own = {"LASTMILE_GATEWAY_URL": stack.base_url, "LASTMILE_API_KEY": stack.ops_api_key}
    command = [sys.executable, "-m", "cli", "alerts", *options]
    return subprocess.run(
        command, env=stack.environment | own, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def key_of(caller: Rest) -> str:
    return caller.http.headers["Authorization"].removeprefix("Bearer ")


def test_an_outage_is_told_to_ops_at_once_and_to_merchants_who_asked(
    networks: SandboxNetworks, running_stack: RunningStack, ops: Rest
) -> None:
    ops.ask("PUT", "/v1/recipients", {"audience": "AUDIENCE_OPS", "name": "Ops", "email": "ops@example.com"})
    merchant_id = ops.merchant()
    merchant = ops.key("merchant", merchantId=merchant_id)
    contact = {"audience": "AUDIENCE_MERCHANT", "name": "Test", "email": "test@example.com"}
    assert merchant.ask("PUT", "/v1/recipients", contact).status_code == 200
    assert merchant.get("/v1/outage-news").get("wanted", False) is False
    assert merchant.ask("PUT", "/v1/outage-news", {"wanted": True}).json() == {"wanted": True}
    assert merchant.get("/v1/outage-news") == {"wanted": True}
    until(lambda: ops.get(f"/v1/outage-news?merchantId={merchant_id}").get("wanted"))
    stranger = ops.key("merchant", merchantId=ops.merchant())
    assert stranger.ask("PUT", "/v1/outage-news", {"merchantId": merchant_id, "wanted": False}).status_code == 400
    with (
        networks.running("other", running_stack.base_url, answers=False) as network,
        EventSource(running_stack.base_url, running_stack.ops_api_key) as of_ops,
        EventSource(running_stack.base_url, key_of(merchant)) as of_merchant,
    ):
        until_well(running_stack, network, "other")
        until(lambda: (found := the_alert(ops)) is None or found["state"] == "ALERT_STATE_RECOVERED")
        before = the_alert(ops)
        network.behave(**HANGING)
        city = ops.city()
        ops.partner(city, networkCode="other")
        # At once: what comes when the circuit is open is offered to nobody.
        rows = [{"details": details(city, merchantId=merchant_id)} for _ in range(4)]
        ops.post("/v1/deliveries:batchCreate", {"requests": rows})
        alert = until(lambda: (found := the_alert(ops)) and found != before and found)
        assert "SYMPTOM_CIRCUIT_OPEN" in alert["symptoms"] or "SYMPTOM_SILENT" in alert["symptoms"]
        until(lambda: int((the_alert(ops) or {})["impact"].get("offersWithdrawn", 0)) >= 4)
        until(lambda: [m["status"] for m in e_mails(ops, alert["id"])].count("alert_raised") == 1)
        until(lambda: "outage_began" in [m["status"] for m in e_mails(merchant, alert["id"])])
        assert SUBJECT in alerts_shown(running_stack)
        path = f"/v1/alerts/{alert['id']}:acknowledge"
        assert ops.post(path)["alert"]["state"] == "ALERT_STATE_ACKNOWLEDGED"
        assert merchant.ask("POST", path, {}).status_code == 403
        assert merchant.ask("GET", "/v1/alerts").status_code == 403
        network.behave(answers=False)
        until(lambda: (the_alert(ops) or {})["state"] == "ALERT_STATE_RECOVERED", 60)
        refused = ops.ask("POST", path, {})
        assert (refused.status_code, refused.json()["reason"]) == (409, "ALERT_RECOVERED")
        until(lambda: "outage_over" in [m["status"] for m in e_mails(merchant, alert["id"])])
        until(lambda: [m["status"] for m in e_mails(ops, alert["id"])].count("alert_over") == 1)
        of_ops.until(
            lambda: "RECOVERED" in json.dumps([e.data for e in of_ops.named(CHANGED) if alert["id"] in str(e.data)])
        )
        states = [e.data["data"]["alert"]["state"] for e in of_ops.named(CHANGED) if alert["id"] in str(e.data)]
        assert states[0] == "ALERT_STATE_OPEN"
        assert states[-1] == "ALERT_STATE_RECOVERED"
        assert of_merchant.named(CHANGED) == []
    own = merchant.get(f"/v1/messages?deliveryId={alert['id']}")["messages"]
    assert {m["status"] for m in own} == {"outage_began", "outage_over"}
    inbox = json.dumps(merchant.get("/v1/sandbox/inbox"))
    assert "offered to others by themselves" in inbox
    assert "other" not in inbox.replace("others", "")
    assert "recovered" in alerts_shown(running_stack, "--over")

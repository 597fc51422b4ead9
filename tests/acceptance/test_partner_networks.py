"""Partner networks over real sockets: `lastmile sandbox network` on one side, the running platform on the other."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from libs.embedded.stack import RunningStack
from tests.rest import Json, Rest, until
from tests.sandbox_networks import SandboxNetworks, SandboxProcess, new_secret

SILENT: dict[str, Any] = {"answers": False}


@pytest.fixture(scope="module")
def lent(networks: SandboxNetworks, running_stack: RunningStack) -> Iterator[SandboxProcess]:
    """A network that does nothing by itself."""
    with networks.running("lent", running_stack.base_url, **SILENT) as network:
        until_well(running_stack, network, "lent")
        yield network


def health(ops: Rest, code: str) -> float | None:
    """What matching goes by."""
    found = {n["code"]: float(n.get("health", 0)) for n in ops.get("/v1/partner-networks")["networks"]}
    return found.get(code)


def share(stack: RunningStack, code: str) -> float:
    """What the dispatcher's circuit lets through at this moment."""
    port = stack.settings.dispatcher_metrics_port
    text = httpx.get(f"http://{stack.settings.host}:{port}/metrics").text
    found = re.search(rf'circuit_share{{dependency="network:{code}"}} (\S+)', text)
    assert found, text
    return float(found.group(1))


def until_well(stack: RunningStack, network: SandboxProcess, code: str) -> None:
    """Wait until a network that has just been started is called as any other."""
    if code == "polled":
        until(lambda: network.record()["calls"])
    until(lambda: share(stack, code) == 1.0)


def holder(ops: Rest, delivery_id: str) -> str:
    """Who has an open offer of a delivery."""
    return str((ops.live_offer(delivery_id) or {}).get("partnerId", ""))


def reason(ops: Rest, delivery_id: str) -> str:
    """Why a delivery has no partner."""
    return str(ops.get(f"/v1/deliveries/{delivery_id}")["delivery"].get("unassignedReason", ""))


def offered(ops: Rest, network_code: str, **policy: int) -> tuple[str, Json]:
    """A delivery that a network's only partner in a new city is offered."""
    city = ops.city(**policy)
    ops.partner(city, networkCode=network_code)
    delivery_id = ops.delivery(city, ops.merchant())
    return delivery_id, until(lambda: ops.live_offer(delivery_id))


def test_an_offer_goes_out_and_what_the_network_does_comes_back(
    networks: SandboxNetworks, running_stack: RunningStack, ops: Rest
) -> None:
    with networks.running("other", running_stack.base_url, answer_ms=50, step_ms=50) as network:
        until_well(running_stack, network, "other")
        delivery_id, offer = offered(ops, "other")
        until(lambda: ops.state(delivery_id) == "DELIVERED")
        told = network.offer(offer["id"])
    assert told is not None
    assert told["offer"]["delivery_id"] == delivery_id
    assert (told["told"], told["ended"]) == (1, 0)


def test_a_network_without_webhooks_is_asked(networks: SandboxNetworks, running_stack: RunningStack, ops: Rest) -> None:
    with networks.running("polled", running_stack.base_url, answer_ms=50, step_ms=50) as network:
        until_well(running_stack, network, "polled")
        delivery_id, _ = offered(ops, "polled")
        until(lambda: ops.state(delivery_id) == "DELIVERED")


def test_each_answer_has_one_outcome_however_often_and_late_it_comes(lent: SandboxProcess, ops: Rest) -> None:
    delivery_id, offer = offered(ops, "lent")
    until(lambda: lent.offer(offer["id"]))
    assert lent.tell("offer.accepted", offer["id"]) == {"outcome": "DONE"}
    assert lent.tell("offer.accepted", offer["id"]) == {"outcome": "ALREADY", "offerState": "accepted"}
    assert ops.state(delivery_id) == "ASSIGNED"
    ops.post(f"/v1/deliveries/{delivery_id}:cancel")
    refused = {"outcome": "REFUSED", "reason": "OFFER_ENDED", "offerState": "withdrawn"}
    assert lent.tell("offer.accepted", offer["id"]) == refused
    told = until(lambda: (found := lent.offer(offer["id"])) and found["ended"] and found)
    assert told["reason"] == "DELIVERY_CANCELLED"
    assert lent.tell("offer.accepted", "01900000-0000-7000-8000-000000000000")["reason"] == "OFFER_UNKNOWN"


def test_an_accept_after_the_offer_expired_is_refused_and_told_so(lent: SandboxProcess, ops: Rest) -> None:
    delivery_id, offer = offered(ops, "lent", offerTtlS=5)
    until(lambda: lent.offer(offer["id"]))
    until(lambda: ops.state(delivery_id) == "PENDING")
    answer = lent.tell("offer.accepted", offer["id"])
    assert answer == {"outcome": "REFUSED", "reason": "OFFER_ENDED", "offerState": "expired"}
    told = until(lambda: (found := lent.offer(offer["id"])) and found["ended"] and found)
    assert told["reason"] == "OFFER_EXPIRED"


def test_updates_out_of_order_wait_for_what_comes_first(
    networks: SandboxNetworks, running_stack: RunningStack, ops: Rest
) -> None:
    faults = {"duplicate_share": 0.5, "reorder_share": 0.5}
    with networks.running("shared", running_stack.base_url, answer_ms=20, step_ms=60, seed=7, faults=faults) as network:
        until_well(running_stack, network, "shared")
        city = ops.city()
        for _ in range(4):
            ops.partner(city, networkCode="shared")
        merchant = ops.merchant()
        deliveries = [ops.delivery(city, merchant) for _ in range(6)]
        for delivery_id in deliveries:
            until(lambda: ops.state(delivery_id) == "DELIVERED")  # noqa: B023 - looked at within its turn
        record = network.record()
    assert record["given_up"] == 0
    histories = [ops.get(f"/v1/deliveries/{one}/history")["changes"] for one in deliveries]
    assert all(len(states := [c["toState"] for c in changes]) == len(set(states)) for changes in histories)


def test_forged_replayed_stale_and_oversized_webhooks_change_nothing(
    networks: SandboxNetworks, lent: SandboxProcess, running_stack: RunningStack, ops: Rest
) -> None:
    delivery_id, offer = offered(ops, "lent")
    until(lambda: lent.offer(offer["id"]))
    url = f"{running_stack.base_url}/webhooks/partner-networks/lent"
    secret = networks.secrets["lent"].read_text()
    body = json.dumps({"type": "offer.accepted", "data": {"offer_id": offer["id"]}})

    def post(signed: dict[str, str], sent: str = body, to: str = url) -> tuple[int, str]:
        response = httpx.post(to, content=sent, headers=signed)
        return response.status_code, response.json().get("reason", "")

    now = datetime.now(UTC)
    assert post(headers("m1", now, body, new_secret())) == (401, "WEBHOOK_SIGNATURE_INVALID")
    assert post(headers("m1", now - timedelta(minutes=6), body, secret)) == (401, "WEBHOOK_STALE")
    assert post(headers("m1", now + timedelta(minutes=6), body, secret)) == (401, "WEBHOOK_STALE")
    assert post(headers("m1", now, body, secret), body + " ") == (401, "WEBHOOK_SIGNATURE_INVALID")
    assert post(headers("m1", now, body, secret) | {"webhook-id": "m2"}) == (401, "WEBHOOK_SIGNATURE_INVALID")
    assert post(headers("m1", now, body, secret) | {"webhook-signature": "v1,???, v1 ,"})[0] == 401
    assert post({}) == (401, "WEBHOOK_ID_INVALID")
    big = body + " " * 70_000
    assert post(headers("m1", now, big, secret), big) == (413, "BODY_TOO_LARGE")
    elsewhere = url.replace("/lent", "/nobody")
    assert post(headers("m1", now, body, secret), to=elsewhere) == (404, "NETWORK_UNKNOWN")
    for garbled in ("[]", "{", '{"type": 1}', '{"type":"offer.accepted","data":{"offer_id":"x"}}', "[" * 50_000):
        assert post(headers("m1", now, garbled, secret), garbled) == (400, "WEBHOOK_MALFORMED")
    assert ops.state(delivery_id) == "OFFERED"
    signed = headers("m1", now, body, secret)
    assert post(signed) == (200, "")
    ops.post(f"/v1/offers/{offer['id']}:reject", {"reason": "SICK"})
    # The same bytes again: it is known, and the delivery stays where it went since.
    assert post(signed) == (200, "")
    assert ops.state(delivery_id) != "ASSIGNED"


def headers(webhook_id: str, at: datetime, body: str, secret: str) -> dict[str, str]:
    signature = Webhook(secret).sign(webhook_id, at.replace(microsecond=0), body)
    return {"webhook-id": webhook_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def test_a_network_that_hangs_loses_its_offers_to_others_and_returns_when_it_is_well(
    lent: SandboxProcess, running_stack: RunningStack, ops: Rest
) -> None:
    lent.behave(answers=False, faults={"hang_share": 1.0})
    city, merchant = ops.city(), ops.merchant()
    ops.partner(city, networkCode="lent")
    deliveries = [ops.delivery(city, merchant) for _ in range(4)]
    until(lambda: health(ops, "lent") == 0.0)
    own = ops.partner(city)
    for delivery_id in deliveries:
        until(lambda: holder(ops, delivery_id) == own)  # noqa: B023 - looked at within its turn
    # A dispatcher that starts meanwhile probes before it trusts.
    running_stack.kill("assignment-dispatcher")
    running_stack.wait_ready()
    elsewhere = ops.city()
    ops.partner(elsewhere, networkCode="lent")
    unassigned = ops.delivery(elsewhere, merchant)
    until(lambda: reason(ops, unassigned) == "NETWORK_DOWN")
    lent.behave(**SILENT)
    until(lambda: 0 < share(running_stack, "lent") < 1.0)
    until(lambda: health(ops, "lent") == 1.0)
    offer = until(lambda: ops.live_offer(unassigned))
    until(lambda: lent.offer(offer["id"]))
    assert lent.tell("offer.accepted", offer["id"]) == {"outcome": "DONE"}

"""The exceptions desk on the whole platform, over REST and the command line; a run's progress is a live event."""

import uuid
from pathlib import Path

from libs.embedded.stack import RunningStack
from tests.acceptance.test_ledger import entries, handed_over, rate_card
from tests.acceptance.test_recon import COLUMNS, recon, uploaded
from tests.live import EventSource
from tests.rest import Json, Rest, until

PROGRESSED = "lastmile.reconciliation.run_progressed.v1"
CASES = "/v1/reconciliation/cases"


def overpaid(ops: Rest, stack: RunningStack, delivery_id: str) -> Json | None:
    """The case of a delivery that was paid too much for, once a run has found it."""
    recon(stack, "run")
    found = ops.get(f"{CASES}?class=overpaid&pageSize=500").get("cases", [])
    return next((case for case in found if case["discrepancy"]["deliveryId"] == delivery_id), None)


def written_off(caller: Rest) -> int:
    """What was given up by now."""
    answer = caller.ask("GET", "/v1/ledger/accounts/platform/write_offs/balance")
    return int(answer.json().get("balancePaise", 0))


def test_what_was_paid_too_much_is_written_off_by_two(ops: Rest, running_stack: RunningStack, tmp_path: Path) -> None:
    code, city_code = f"bank-{uuid.uuid4().hex[:8]}", ops.city()
    mapping = {"format": "STATEMENT_FORMAT_CSV", "columns": COLUMNS}
    ops.post("/v1/statement-mappings", {"sourceCode": code, "mapping": mapping})
    rate_card(ops, city_code)
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, ops.merchant())
    until(lambda: entries(ops, delivery_id))
    # 65.82 are owed.
    uploaded(ops, code, f"ref,to,amount,when\n{delivery_id},{partner_id},5065.82,2026-11-25T14:00:00Z\n".encode())
    key = ops.http.headers["Authorization"].removeprefix("Bearer ")
    with EventSource(running_stack.base_url, key) as live:
        case = until(lambda: overpaid(ops, running_stack, delivery_id), 60)
        live.until(lambda: any("closedAt" in event.data["data"]["run"] for event in live.named(PROGRESSED)))
        told = live.named(PROGRESSED)[0].data
        assert told["subject"] == f"runs/{told['data']['run']['runNo']}"
    case_id = case["discrepancy"]["id"]
    assert case["suggestion"]["resolution"] == "RESOLUTION_KIND_RECOVER"
    assert case_id in recon(running_stack, "desk", "list", "--class", "overpaid", "--rows", "500")
    before = written_off(ops)
    recon(running_stack, "desk", "assign", case_id, "--to", "asha")
    recon(running_stack, "desk", "comment", case_id, "--text", "asked the bank")
    said = recon(running_stack, "desk", "write-off", case_id, "--note", "a zero too many, and the partner is gone")
    assert "waits for somebody else's approval" in said
    resolution_id = said.split()[1].rstrip(":")
    path = f"/v1/reconciliation/resolutions/{resolution_id}:approve"
    own = ops.ask("POST", path, {})
    assert (own.status_code, own.json()["reason"]) == (403, "OWN_PROPOSAL")
    other = ops.key("ops")
    approved = other.post(path, {"note": "seen"})
    assert approved["cases"][0]["state"] == "CASE_STATE_RESOLVED"
    shown = other.get(f"{CASES}/{case_id}")
    assert [row["action"] for row in shown["trail"]] == ["assign", "comment", "propose", "approve"]
    assert shown["entryId"]
    assert written_off(other) - before == 500_000
    assert "entry" in recon(running_stack, "desk", "show", case_id)
    assert "head" in recon(running_stack, "desk", "audit")
    assert "waits" not in recon(running_stack, "desk", "list", "--proposed")
    again = ops.ask("POST", f"{CASES}:resolve", {
        "caseIds": [case_id], "kind": "RESOLUTION_KIND_DISMISS", "note": "x"})  # fmt: skip
    assert (again.status_code, again.json()["reason"]) == (409, "CASE_STATE")
    merchant = ops.key("merchant", merchantId=ops.merchant())
    assert merchant.ask("GET", CASES).status_code == 403

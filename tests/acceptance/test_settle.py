"""Settlement on the whole platform: a cycle is closed, shown, paid out into a file, confirmed and explained."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from libs.embedded.stack import RunningStack
from tests.acceptance.test_ledger import entries, handed_over, rate_card
from tests.rest import Json, Rest, until

# 499.00 collected for it, less 83.10 and 14.96; see test_ledger.py.
REMITTED = "400.94"


def settling(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lastmile recon settle`."""
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    command = [sys.executable, "-m", "cli", "recon", "settle", *arguments]
    return subprocess.run(command, env=stack.environment | known, capture_output=True, text=True, check=False)


def settle(stack: RunningStack, *arguments: str) -> str:
    """What it prints, where it succeeds."""
    ran = settling(stack, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def closed_with(ops: Rest, party: str) -> int:
    """End cycles until one has a statement of a party; an entry must be some seconds old for that."""

    def look() -> int | None:
        answer = ops.ask("POST", "/v1/settlements:close", {})
        if answer.status_code != 200:
            assert answer.json()["reason"] == "CYCLE_NOT_OVER"
            return None
        cycle_no = int(answer.json()["cycle"]["cycleNo"])
        until(lambda: "closedAt" in ops.get(f"/v1/settlements/{cycle_no}")["cycle"])
        found = ops.ask("GET", f"/v1/settlements/{cycle_no}/statements/{party.replace(':', '/')}")
        assert found.status_code in {200, 404}, found.text
        return cycle_no if found.status_code == 200 else None

    return until(look, 60)


@pytest.fixture
def source_code(ops: Rest) -> str:
    """A bank whose files say what became of payouts."""
    code = f"bank-{uuid.uuid4().hex[:8]}"
    mapping = {
        "format": "STATEMENT_FORMAT_CSV",
        "columns": {"reference": "ref", "amount": "amount", "paid_at": "at", "leg": "status"},
        "legs": {"PAID": "payout", "RETURNED": "cash"},
        "payee": "network:bank",
        "confirmsPayouts": True,
    }
    made = ops.post("/v1/statement-mappings", {"sourceCode": code, "mapping": mapping})["mapping"]["mapping"]
    assert made["confirmsPayouts"]
    return code


def payout_rows(file: Path) -> dict[str, list[str]]:
    """The rows of a payout file by their beneficiaries."""
    rows = [line.split(",") for line in file.read_text().splitlines()]
    return {row[3]: row for row in rows if row[0] == "PAYOUT"}


def test_a_cycle_is_closed_paid_out_confirmed_and_explained(
    ops: Rest, running_stack: RunningStack, source_code: str, tmp_path: Path
) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    rate_card(ops, city_code)
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, merchant_id)
    until(lambda: entries(ops, delivery_id))
    party = f"merchant:{merchant_id}"
    cycle_no = closed_with(ops, party)
    assert REMITTED in settle(running_stack, "show", str(cycle_no), party)
    assert str(cycle_no) in settle(running_stack, "list")
    merchant = ops.key("merchant", merchantId=merchant_id)
    (seen,) = until(lambda: merchant.get(f"/v1/settlements/{cycle_no}/statements").get("settlements"))
    assert (seen["party"], seen["payablePaise"]) == (party, "40094")

    path = f"/v1/settlements/{cycle_no}/statements/partner/{partner_id}"
    (line,) = ops.get(f"{path}/lines")["lines"]
    explained = settle(running_stack, "explain", f"partner:{partner_id}", line["entryId"])
    assert "agrees" in explained
    assert "base: 2500 paise x 1/1 = 2500 paise" in explained
    assert "held" in settle(running_stack, "hold", f"partner:{partner_id}", line["entryId"], "--reason", "looked into")
    assert "released" in settle(running_stack, "release", f"partner:{partner_id}", line["entryId"], "--reason", "right")

    # Whatever is wrong with what is asked for is said before anybody is paid.
    for wrong in (("--file", str(tmp_path / "nowhere" / "a.csv")), ("--format", "pdf")):
        assert settling(running_stack, "payout", str(cycle_no), *wrong).returncode
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for file, again in ((first, False), (second, True)):
        said = settle(running_stack, "payout", str(cycle_no), "--file", str(file), "--format", "csv")
        assert ("made already" in said) == again
    assert first.read_bytes() == second.read_bytes()
    row = payout_rows(first)[party]
    assert row[4] == REMITTED
    bank = tmp_path / "bank.csv"
    bank.write_text(f"ref,amount,at,status\n{row[2]},{row[4]},2026-11-26T10:00:00+05:30,PAID\n")
    assert "paid: 1 lines, 400.94" in settle(running_stack, "confirm", str(bank), "--source", source_code)
    assert "same: 1 lines" in settle(running_stack, "confirm", str(bank), "--source", source_code)
    balance = until(lambda: ops.get(f"/v1/ledger/accounts/merchant/{merchant_id}/balance"))
    assert int(balance.get("balancePaise", 0)) == 0


def test_a_late_cancellation_is_one_linked_line_of_the_next_statement(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    rate_card(ops, city_code)
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, merchant_id)
    (earned,) = until(lambda: entries(ops, delivery_id))
    party = f"partner:{partner_id}"
    cycle_no = closed_with(ops, party)
    path = f"statements/{party.replace(':', '/')}"
    before = ops.get(f"/v1/settlements/{cycle_no}/{path}")

    call_off = f"/v1/deliveries/{delivery_id}:cancel"
    refused = ops.key("merchant", merchantId=merchant_id).ask("POST", call_off, {"reason": "PROOF_REJECTED"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "TRANSITION_NOT_YOURS")
    refused = ops.ask("POST", call_off, {})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "reason")
    ops.post(call_off, {"reason": "PROOF_REJECTED", "note": "the photograph shows another door"})
    again = ops.ask("POST", call_off, {"reason": "PROOF_REJECTED"})
    assert (again.status_code, again.json()["reason"]) == (409, "ILLEGAL_TRANSITION")

    until(lambda: len(entries(ops, delivery_id)) == 2)
    for account in (f"partner/{partner_id}", f"cash/{partner_id}", f"merchant/{merchant_id}"):
        assert int(ops.get(f"/v1/ledger/accounts/{account}/balance").get("balancePaise", 0)) == 0

    def adjusted() -> list[Json]:
        next_no = closed_with(ops, party)
        return list(ops.get(f"/v1/settlements/{next_no}/{path}/lines").get("lines", []))

    (line,) = until(adjusted, 60)
    assert (line["kind"], line["adjustsEntryId"], line["adjustsCycleNo"]) == ("adjustment", earned["id"], cycle_no)
    assert ops.get(f"/v1/settlements/{cycle_no}/{path}") == before


def test_a_payout_file_is_refused_by_its_reason(ops: Rest) -> None:
    def refusal(**query: str) -> tuple[int, str]:
        response = ops.http.get("/v1/settlements:payoutFile", params=query)
        return response.status_code, response.json()["reason"]

    assert refusal(cycleNo="1") == (400, "INVALID_ARGUMENT")
    assert refusal(cycleNo="0", format="csv") == (400, "INVALID_ARGUMENT")
    assert refusal(cycleNo="1", format="csv", more="x") == (400, "INVALID_ARGUMENT")
    assert refusal(cycleNo="999999999", format="nach") == (404, "PAYOUTS_NOT_FOUND")
    answer = ops.http.post("/v1/settlements:payoutFile", params={"cycleNo": "1", "format": "csv"})
    assert (answer.status_code, answer.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_line_is_explained_to_ops_alone(ops: Rest) -> None:
    partner_id = ops.partner(ops.city())
    caller = ops.key("partner", partnerId=partner_id)
    answer = caller.ask("GET", f"/v1/settlement-lines/partner/{partner_id}/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["reason"]) == (403, "ROLE_NOT_ALLOWED")
    known = ops.ask("GET", f"/v1/settlement-lines/partner/{partner_id}/{uuid.uuid4()}")
    assert (known.status_code, known.json()["reason"]) == (404, "SETTLEMENT_LINE_NOT_FOUND")


def test_closing_a_cycle_waits_for_its_statements_and_shows_how_far_they_are(running_stack: RunningStack) -> None:
    def close() -> subprocess.CompletedProcess[str] | None:
        ran = settling(running_stack, "close")
        if ran.returncode:
            assert "CYCLE_NOT_OVER" in ran.stderr
            return None
        return ran

    ran = until(close, 60)
    assert ran.stdout.startswith("cycle ")
    assert "closed" in ran.stderr
    assert "3/3" in ran.stderr


def test_a_corrected_hand_over_is_one_linked_line_of_the_next_statement(ops: Rest, running_stack: RunningStack) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, merchant_id)
    at = {change["toState"]: change["occurredAt"] for change in history(ops, delivery_id)}
    on_its_way, delivered = (at[f"DELIVERY_STATE_{state}"] for state in ("OUT_FOR_DELIVERY", "DELIVERED"))
    # A surge that begins with the hand-over: a moment earlier there was none.
    rate_card(ops, city_code, surges=[{"startsAt": delivered, "endsAt": "2100-01-01T00:00:00Z", "extraBp": 5_000}])
    (earned,) = until(lambda: entries(ops, delivery_id), 60)
    party = f"partner:{partner_id}"
    cycle_no = closed_with(ops, party)
    path = f"statements/{party.replace(':', '/')}"
    before = ops.get(f"/v1/settlements/{cycle_no}/{path}")

    correct, right = f"/v1/deliveries/{delivery_id}:correctProof", {"deliveredAt": on_its_way, "reason": "WRONG_TIME"}
    partner = ops.key("partner", partnerId=partner_id)
    assert partner.ask("POST", correct, right).status_code == 403
    ops.post(correct, right)
    _, corrected = until(lambda: found if len(found := entries(ops, delivery_id)) == 2 else None)
    assert (corrected["kind"], corrected["correctsEntryId"]) == ("ENTRY_KIND_CORRECTION", earned["id"])
    assert corrected["explanation"]["agrees"]
    assert [change["occurredAt"] for change in history(ops, delivery_id)][-2:] == [delivered, on_its_way]

    def next_lines() -> list[Json]:
        next_no = closed_with(ops, party)
        return list(ops.get(f"/v1/settlements/{next_no}/{path}/lines").get("lines", []))

    (line,) = until(next_lines, 60)
    assert (line["kind"], line["adjustsEntryId"], line["adjustsCycleNo"]) == ("correction", earned["id"], cycle_no)
    assert int(line["amountPaise"]) < 0
    explained = settle(running_stack, "explain", party, line["entryId"])
    assert "agrees" in explained
    assert "booked before" in explained
    assert ops.get(f"/v1/settlements/{cycle_no}/{path}") == before


def history(ops: Rest, delivery_id: str) -> list[Json]:
    return list(ops.get(f"/v1/deliveries/{delivery_id}/history")["changes"])

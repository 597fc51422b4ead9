"""Reconciliation on the whole platform: a statement is uploaded, runs are followed, a paisa too few is found."""

import csv
import json
import signal
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from libs.embedded.stack import RunningStack
from libs.ids import made_at
from services.reconciliation.runs.limits import RunLimits
from tests.acceptance.test_ledger import entries, handed_over, rate_card
from tests.rest import Json, Rest, until

# As many payouts are wrong as there are classes.
DELIVERED, WRONG = 24, 6
COLUMNS = {"reference": "ref", "payee": "to", "amount": "amount", "paid_at": "when"}


def recon(stack: RunningStack, *arguments: str) -> str:
    """What `lastmile recon` prints."""
    return lastmile(stack, "recon", *arguments)


def lastmile(stack: RunningStack, *arguments: str) -> str:
    """What a command prints."""
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    command = [sys.executable, "-m", "cli", *arguments]
    ran = subprocess.run(command, env=stack.environment | known, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def source_code(ops: Rest) -> str:
    """A source whose files are CSV."""
    code = f"bank-{uuid.uuid4().hex[:8]}"
    mapping = {"format": "STATEMENT_FORMAT_CSV", "columns": COLUMNS}
    assert ops.post("/v1/statement-mappings", {"sourceCode": code, "mapping": mapping})["mapping"]["version"] == 1
    return code


def uploaded(ops: Rest, source_code: str, content: bytes) -> Json:
    query = {"sourceCode": source_code, "fileName": "day.csv"}
    response = ops.http.post("/v1/statements:upload", params=query, content=content)
    assert response.status_code == 200, response.text
    made: Json = response.json()
    return made


def test_what_was_paid_too_little_is_found_and_explained(
    ops: Rest, running_stack: RunningStack, source_code: str, tmp_path: Path
) -> None:
    city_code = ops.city()
    rate_card(ops, city_code)
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, ops.merchant())
    until(lambda: entries(ops, delivery_id))
    # 65.82 are owed.
    content = f"ref,to,amount,when\n{delivery_id},{partner_id},65.81,2026-11-25T14:00:00Z\nx,y,1e3,2026-11-25\n"
    made = uploaded(ops, source_code, content.encode())
    assert (made["statement"]["rowsTaken"], made["statement"]["rowsRefused"]) == ("1", "1")
    file = tmp_path / "day.csv"
    file.write_text(content)
    said = recon(running_stack, "upload", str(file), "--source", source_code)
    assert "there already" in said
    assert "row 2: AMOUNT_WITH_EXPONENT" in said

    def underpaid() -> Json | None:
        assert "run " in recon(running_stack, "run")
        found: Json = ops.get(f"/v1/reconciliation/deliveries/{delivery_id}")
        named = {one["class"]: one for one in found.get("discrepancies", [])}
        return named.get("underpaid")

    found = until(underpaid, 60)
    assert int(found["expectedPaise"]) - int(found["paidPaise"]) == 1
    assert "underpaid" in recon(running_stack, "explain", delivery_id)
    line = recon(running_stack, "explain", "--statement", made["statement"]["id"], "--line", "1")
    assert "underpaid by classified" in line
    assert "closed" in recon(running_stack, "status", str(found["runNo"]))
    rows = ops.get(f"/v1/statements/{made['statement']['id']}/refused-rows")["rows"]
    assert [row["reason"] for row in rows] == ["AMOUNT_WITH_EXPONENT"]


def test_an_upload_is_refused_by_its_reason(ops: Rest, source_code: str) -> None:
    def refusal(content: bytes = b"ref\n", **query: str) -> tuple[int, str]:
        response = ops.http.post("/v1/statements:upload", params=query, content=content)
        return response.status_code, response.json()["reason"]

    assert refusal(sourceCode=source_code) == (400, "INVALID_ARGUMENT")
    assert refusal(sourceCode=source_code, fileName="a", other="b") == (400, "INVALID_ARGUMENT")
    assert refusal(sourceCode="nobody", fileName="a.csv") == (404, "SOURCE_UNKNOWN")
    assert refusal(sourceCode=source_code, fileName="a.csv") == (400, "COLUMN_MISSING")
    assert refusal(b"PK\x03\x04", sourceCode=source_code, fileName="a.csv") == (400, "ARCHIVE_NOT_READ")
    stranger = Rest(ops.base_url, "lm_nobody")
    response = stranger.http.post("/v1/statements:upload", params={"sourceCode": "a", "fileName": "b"}, content=b"x")
    assert response.status_code == 401
    merchant = ops.key("merchant", merchantId=ops.merchant())
    response = merchant.http.post("/v1/statements:upload", params={"sourceCode": "a", "fileName": "b"}, content=b"x")
    assert (response.status_code, response.json()["reason"]) == (403, "ROLE_NOT_ALLOWED")
    assert ops.http.get("/v1/statements:upload").status_code == 405


def test_what_a_bank_gets_wrong_of_the_demos_deliveries_is_found_and_the_rest_is_settled(
    ops: Rest, running_stack: RunningStack, tmp_path: Path
) -> None:
    known = {"LASTMILE_API_KEY": running_stack.ops_api_key, "LASTMILE_GATEWAY_URL": running_stack.base_url}
    command = [sys.executable, "-m", "cli", "demo", "--rate", "600", "--time-lapse", "500"]
    with subprocess.Popen(command, env=running_stack.environment | known, stdout=subprocess.DEVNULL) as demo:
        until(lambda: len(ops.get("/v1/deliveries?states=DELIVERY_STATE_DELIVERED")["deliveries"]) >= DELIVERED, 120)
        demo.send_signal(signal.SIGTERM)
    file, answers, source = tmp_path / "bank.csv", tmp_path / "answers.json", f"bank-{uuid.uuid4().hex[:8]}"

    def written() -> bool:
        told = lastmile(running_stack, "sandbox", "statement", str(file), "--answers", str(answers), "--source", source)
        return f"--source {source}" in told and sum(map(len, json.loads(answers.read_text()).values())) == WRONG

    # The ledger books within moments of a hand-over.
    until(written, 60)
    seeded = json.loads(answers.read_text())
    rows = list(csv.DictReader(file.open()))
    wrong = {reference for references in seeded.values() for reference in references}
    plain = {row["delivery"] for row in rows} - wrong

    def looked_at() -> bool:
        """Whether the last run looks at every entry: none of the last seconds' are, which may be written still."""
        recon(running_stack, "run")
        opened_at = datetime.fromisoformat(ops.get("/v1/reconciliation/runs?pageSize=1")["runs"][0]["openedAt"])
        legs = [leg for one in plain for leg in ops.get(f"/v1/reconciliation/deliveries/{one}")["legs"]]
        settled_at = opened_at - timedelta(seconds=RunLimits().settle_s)
        return all(made_at(uuid.UUID(leg["entryId"])) < settled_at for leg in legs)

    # A bank that pays faster than that would pay for what is not known yet.
    until(looked_at, 60)
    assert "rows taken, 0 refused" in recon(running_stack, "upload", str(file), "--source", source)
    expected = {kind: set(found) for kind, found in seeded.items()}

    def found() -> Json | None:
        assert "closed" in recon(running_stack, "run", "--payout-due-min", "0")
        by_class: dict[str, set[str]] = {}
        for kind, references in expected.items():
            for reference in references:
                about = ops.get(f"/v1/reconciliation/deliveries/{reference}")
                if kind in {one["class"] for one in about.get("discrepancies", [])}:
                    by_class.setdefault(kind, set()).add(reference)
        return by_class if by_class == expected else None

    until(found, 60)
    for reference in plain:
        about = ops.get(f"/v1/reconciliation/deliveries/{reference}")
        assert {one["outcome"] for one in about["results"]} == {"matched"}
        assert not about.get("discrepancies")
    assert "differs underpaid" in recon(running_stack, "explain", next(iter(expected["underpaid"])))

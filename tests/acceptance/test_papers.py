"""Papers on the whole platform: labels over REST and by the command line, and refusals as problems."""

import hashlib
import io
import json
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import asyncpg
import zxingcpp
from google.protobuf import json_format
from PIL import Image

from libs.embedded.stack import RunningStack
from libs.ids import new_id
from services.reconciliation.papers.label import LabelSheet
from services.reconciliation.papers.rendering import pdf, png_pages
from services.reconciliation.rate_cards import store as rate_cards
from tests.ledger import SCOPE, card
from tests.made_up_papers import HARD_LABEL, LABEL, label_body, made_up_label
from tests.papers import BENGALURU, LONG_AGO, RECIPIENT, Books
from tests.rest import Rest


def test_labels_come_as_one_paper_and_the_same_again(ops: Rest) -> None:
    body = {"labels": [label_body(LABEL), label_body(HARD_LABEL)]}
    first = ops.ask("POST", "/v1/labels.pdf", body)
    assert first.status_code == 200, first.text
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["content-length"] == str(len(first.content))
    assert first.headers["content-disposition"] == f'inline; filename="labels-{LABEL.delivery_id}.pdf"'
    assert first.content == pdf(LabelSheet((LABEL, HARD_LABEL)))
    again = ops.ask("POST", "/v1/labels.pdf", body)
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].strip('"') == hashlib.sha256(first.content).hexdigest()[:24]


def test_what_is_wrong_with_labels_is_a_problem(ops: Rest) -> None:
    bad = label_body(LABEL) | {"reference": "क", "weightG": 0}
    refused = ops.ask("POST", "/v1/labels.pdf", {"labels": [label_body(LABEL), bad]})
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_ARGUMENT")
    assert {error["field"] for error in refused.json()["errors"]} == {"labels[1].reference", "labels[1].weightG"}
    for body in ({}, {"labels": []}, {"labels": [label_body(LABEL)] * 201}, {"label": 1}):
        assert ops.ask("POST", "/v1/labels.pdf", body).status_code == 400
    assert ops.http.post("/v1/labels.pdf", content=b"x" * 2_000_000).status_code == 415
    large = ops.http.post("/v1/labels.pdf", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    assert ops.ask("GET", "/v1/labels.pdf").status_code == 405
    assert ops.ask("GET", "/v1/nothing.pdf").status_code == 404
    unknown = ops.ask("GET", f"/v1/invoices/{uuid.uuid4()}.pdf")
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "INVOICE_NOT_FOUND")
    assert ops.ask("GET", "/v1/invoices/x.pdf").status_code == 400
    stranger = Rest(ops.base_url, "lm_nobodyknowsthiskey0000000000")
    assert stranger.ask("GET", f"/v1/invoices/{uuid.uuid4()}.pdf").status_code == 401


def papers(stack: RunningStack, *arguments: str) -> str:
    """What `lastmile papers` prints."""
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    command = [sys.executable, "-m", "cli", "papers", *arguments]
    ran = subprocess.run(command, env=stack.environment | known, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_command_line_prints_a_file_of_labels(running_stack: RunningStack, tmp_path: Path) -> None:
    wanted = [made_up_label(number) for number in range(7)]
    file, out = tmp_path / "labels.jsonl", tmp_path / "out"
    file.write_text("\n".join(json.dumps(label_body(label)) for label in wanted))
    assert "7 labels" in papers(running_stack, "labels", str(file), "--out", str(out), "--a-file", "3")
    made = sorted(out.iterdir())
    assert [path.name for path in made] == ["labels-0001.pdf", "labels-0002.pdf", "labels-0003.pdf"]
    assert made[2].read_bytes() == pdf(LabelSheet((wanted[6],)))
    page = Image.open(io.BytesIO(png_pages(LabelSheet((wanted[6],)), 203)[0]))
    assert wanted[6].reference in {found.text for found in zxingcpp.read_barcodes(page)}


async def test_an_invoice_is_issued_once_and_fetched_by_its_merchant_and_ops(
    ops: Rest, running_stack: RunningStack, tmp_path: Path
) -> None:
    merchant_id = uuid.UUID(ops.merchant())
    owner = await asyncpg.connect(running_stack.dsn())
    made = card(id=new_id(), scope=replace(SCOPE, city_code=f"P{merchant_id.hex[-8:].upper()}"))
    await rate_cards.create(owner, made)
    await Books(owner, merchant_id).add(made, BENGALURU, 3)
    await owner.close()
    file, out = tmp_path / "recipient.json", tmp_path / "out"
    file.write_text(json_format.MessageToJson(RECIPIENT))
    issue = ("issue", str(merchant_id), str(LONG_AGO), "--state", "29", "--recipient", str(file))
    assert "there already" not in papers(running_stack, *issue)
    assert "there already" in papers(running_stack, *issue)
    invoice = ops.ask("POST", "/v1/invoices", {
        "merchantId": str(merchant_id), "supplierStateCode": "29", "month": str(LONG_AGO),
        "recipient": json.loads(file.read_text())}).json()["invoice"]  # fmt: skip
    assert invoice["number"] in papers(running_stack, "invoices", "--merchant", str(merchant_id))
    assert "1 invoices" in papers(running_stack, "invoices", "--merchant", str(merchant_id), "--out", str(out))
    fetched = ops.ask("GET", f"/v1/invoices/{invoice['id']}.pdf")
    assert fetched.status_code == 200, fetched.text
    assert [path.read_bytes() for path in out.iterdir()] == [fetched.content]
    assert hashlib.sha256(fetched.content).hexdigest() == invoice["contentSha256"]
    known = ops.ask("GET", f"/v1/invoices/{invoice['id']}.pdf", If_None_Match=fetched.headers["etag"])
    assert (known.status_code, known.content) == (304, b"")
    key = ops.post("/v1/apiKeys", {"name": "shop", "role": "ROLE_MERCHANT", "merchantId": str(merchant_id)})["secret"]
    assert Rest(ops.base_url, key).ask("GET", f"/v1/invoices/{invoice['id']}.pdf").content == fetched.content
    other = ops.post("/v1/apiKeys", {"name": "other", "role": "ROLE_MERCHANT", "merchantId": ops.merchant()})["secret"]
    assert Rest(ops.base_url, other).ask("GET", f"/v1/invoices/{invoice['id']}.pdf").status_code == 404

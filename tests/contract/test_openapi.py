"""What the gateway says of itself is true: the OpenAPI document, and what a fuzzer finds against it."""

import json
import re
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from libs.embedded.stack import RunningStack
from tests.rest import Rest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES_PER_OPERATION = 8
# Schemathesis parses sources as it generates, and CPython 3.11 counts the depth of `ast.parse` across threads: with a
# second worker it fails now and then with "AST constructor recursion depth mismatch" (python/cpython#106905).
WORKERS = "1"
# Where a caller asks for less time, a busy machine's answer is rightly a 504; tests/acceptance has what it may be.
PATIENT = "X-Request-Timeout-Ms: 15000"
REVOKE = "AccessService_RevokeApiKey"
# Its answer has no end; tests/acceptance/test_live.py asks it what a fuzzer would.
LIVE = "LiveService_Follow"
# Served elsewhere; tests/integration/services/notification/test_receipts.py asks it.
RECEIPT = "Webhooks_ReceiveReceipt"


def fuzz(stack: RunningStack, key: str, folder: Path, *selection: str) -> str:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.base_url}/openapi.json",
        "--header", f"Authorization: Bearer {key}", "--header", PATIENT, "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES_PER_OPERATION),
        "--generation-deterministic", "--continue-on-failure", "--workers", WORKERS, "--no-color",
        "--request-timeout", "30", *selection,
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    return done.stdout


def test_no_answer_is_a_server_error_or_undocumented(running_stack: RunningStack, ops: Rest, tmp_path: Path) -> None:
    operations = [
        operation for path in ops.get("/openapi.json")["paths"].values() for operation in path.values() if operation
    ]
    # What revokes keys runs with a key of its own: it is free to revoke that one.
    output = fuzz(
        running_stack,
        running_stack.ops_api_key,
        tmp_path,
        "--exclude-operation-id",
        REVOKE,
        "--exclude-operation-id",
        LIVE,
        "--exclude-operation-id",
        RECEIPT,
    )
    assert re.search(rf"Tested: {len(operations) - 3}\b", output), output[-2_000:]
    own = ops.post("/v1/apiKeys", {"name": "fuzz", "role": "ROLE_OPS"})["secret"]
    fuzz(running_stack, own, tmp_path, "--include-operation-id", REVOKE)


def test_the_document_describes_every_route_with_its_problems(ops: Rest) -> None:
    document = ops.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert not [error.message for error in Draft202012Validator(OPENAPI_31).iter_errors(document)]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(document)
    for name in set(re.findall(r'"#/components/(\w+/\w+)"', text)):
        kind, _, component = name.partition("/")
        assert component in document["components"][kind]
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if operation["operationId"] != RECEIPT:
                assert {"200", "400", "401", "404", "429", "503"} <= set(operation["responses"]), (verb, path)
            assert operation["summary"], (verb, path)


def test_the_pages_load_nothing_from_elsewhere(ops: Rest) -> None:
    for path in ("/", "/docs"):
        page = ops.http.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert loaded
        for address in loaded:
            assert address.startswith(("/", "#", ops.base_url)), address
            if address.startswith("/static"):
                assert ops.http.get(address).status_code == 200


def test_a_path_that_no_route_can_have_is_a_problem_too(ops: Rest) -> None:
    for path in ("/nowhere", "/v1/partners/%C2%85%0A", "/static/none", "/v1/deliveries/%00"):
        answer = ops.ask("PUT", path, {})
        assert answer.status_code in {400, 404, 405}, path
        assert answer.headers["content-type"] == "application/problem+json", path

"""A newcomer's consumer, one file: at work on the running platform, in metrics, AsyncAPI and `lastmile streams`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.embedded.stack import RunningStack
from tests.newcomer import ConsumerProcess, install
from tests.rest import Rest, until

ROOT = Path(__file__).resolve().parents[2]
NAME = "newcomer"
# All that a new consumer takes. It fails while there is a file of a certain name.
TEXT = '''
"""Welcomes deliveries."""

import os
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from libs.streams.codec import Event


class Effects:
    """Says hello to every new delivery."""

    name = "{name}"
    types = frozenset({{"lastmile.delivery.created.v1"}})

    def __init__(self, primary: asyncpg.Pool) -> None:
        self._folder = Path(os.environ["NEWCOMER_FOLDER"])

    async def handle(self, batch: Sequence[Event]) -> None:
        if (self._folder / "closed").exists():
            raise ValueError("closed for today")
        for event in batch:
            (self._folder / event.message.delivery_created.delivery.id).touch()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello").mkdir()
    install(tmp_path / "site", NAME, TEXT)
    return tmp_path


@pytest.fixture
def consumer(running_stack: RunningStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConsumerProcess]:
    monkeypatch.setenv("NEWCOMER_FOLDER", str(folder / "hello"))
    told = {"attempts_max": "2", "lease_ttl_s": "6", "lease_renew_s": "0.2", "backoff_s_max": "0.1"}
    settings = {f"assignment_consumer__{name}": value for name, value in told.items()}
    process = ConsumerProcess(running_stack, folder / "site", folder / "consumer.log", **settings)
    process.start()
    yield process
    process.stop()


def lastmile(stack: RunningStack, *arguments: str, fails: bool = False) -> str:
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url, "COLUMNS": "200"}
    command = [sys.executable, "-m", "cli", "streams", *arguments]
    done = subprocess.run(
        command, env=stack.environment | known, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def row(text: str, first: str) -> list[str]:
    """The row of a table that begins so."""
    return next((line.split() for line in text.splitlines() if line.strip().startswith(first)), [])


def test_one_file_is_a_consumer_that_is_seen_everywhere(
    running_stack: RunningStack, ops: Rest, consumer: ConsumerProcess, folder: Path
) -> None:
    city, merchant = ops.city(), ops.merchant()
    first = ops.delivery(city, merchant)
    until((folder / "hello" / first).exists)
    assert row(lastmile(running_stack, "list"), f"lastmile:events:{{{city}}}")[1] == city
    until(lambda: row(lastmile(running_stack, "lag"), NAME) == [NAME, "1", "0", "0", "0"])
    assert f'lastmile_consumer_events_handled_total{{consumer="{NAME}"}}' in consumer.metrics()

    (folder / "hello" / "closed").touch()
    second = ops.delivery(city, merchant)
    until(lambda: row(lastmile(running_stack, "lag"), NAME) == [NAME, "1", "0", "0", "1"])
    letter = row(lastmile(running_stack, "dead", "list", NAME), f"{city}.")[0]
    shown = lastmile(running_stack, "dead", "show", NAME, letter)
    assert "reason: ValueError: closed for today" in shown
    assert "attempts: 3" in shown
    assert f'"subject": "deliveries/{second}"' in shown

    (folder / "hello" / "closed").unlink()
    assert "1 replayed" in lastmile(running_stack, "dead", "replay", NAME, "--all")
    until((folder / "hello" / second).exists)
    assert row(lastmile(running_stack, "lag"), NAME)[4] == "0"
    assert "DEAD_LETTER_NOT_FOUND" in lastmile(running_stack, "dead", "show", NAME, letter, fails=True)
    assert "CONSUMER_ALIVE" in lastmile(running_stack, "retire", NAME, fails=True)
    consumer.stop()
    assert "retired" in lastmile(running_stack, "retire", NAME)
    assert row(lastmile(running_stack, "lag"), NAME) == []
    assert "CONSUMER_NOT_FOUND" in lastmile(running_stack, "retire", NAME, fails=True)


def test_a_merchant_sees_no_streams(running_stack: RunningStack, ops: Rest) -> None:
    key = ops.post("/v1/apiKeys", {"name": "m", "role": "ROLE_MERCHANT", "merchantId": ops.merchant()})["secret"]
    merchant = Rest(running_stack.base_url, key)
    for path in ("/v1/streams", "/v1/consumers", f"/v1/consumers/{NAME}/deadLetters"):
        assert merchant.ask("GET", path).status_code == 403


def test_asyncapi_names_the_newcomer_and_what_it_reads(folder: Path) -> None:
    path = os.pathsep.join([str(folder / "site"), str(ROOT), str(ROOT / "libs" / "api")])
    done = subprocess.run(
        [sys.executable, "scripts/asyncapi.py", "--print"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    operation = json.loads(done.stdout)["operations"][f"assignment.{NAME}"]
    assert operation["action"] == "receive"
    assert operation["description"] == "Says hello to every new delivery."
    assert operation["messages"] == [{"$ref": "#/channels/events/messages/lastmile.delivery.created.v1"}]

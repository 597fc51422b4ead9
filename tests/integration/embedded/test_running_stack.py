"""The whole platform as `lastmile up` runs it: every process comes back, in time and within its memory."""

import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from libs.embedded.stack import RunningStack
from libs.embedded.status import collect_status

# A hang is found; how fast it is, `make bench` says.
WARM_START_S_MAX = 60.0
IDLE_BYTES_MAX = 1_400_000_000
DEADLINE_S = 60.0
PROCESSES = (
    "postgres",
    "postgres-standby",
    "valkey",
    "assignment-api",
    "assignment-matcher",
    "gateway",
    "relay",
    "reconciliation-consumer",
    "reconciliation-worker",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("stack") / "home") as started:
        yield started


def healthy(stack: RunningStack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def wait_healthy(stack: RunningStack) -> None:
    """A process that is up again may still find the others' connections stale for a moment."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not healthy(stack):
        assert time.monotonic() < deadline_s, stack.log_text()[-4_000:]
        time.sleep(0.05)


def cities(stack: RunningStack) -> httpx.Response:
    headers = {"authorization": f"Bearer {stack.ops_api_key}"}
    return httpx.get(f"{stack.base_url}/v1/cities", headers=headers, timeout=10)


def test_the_bootstrap_key_opens_the_api(stack: RunningStack) -> None:
    assert healthy(stack)
    answer = cities(stack)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_comes_back_and_the_api_answers_again(stack: RunningStack, name: str) -> None:
    killed = stack.kill(name, signal.SIGKILL)
    stack.wait_ready(DEADLINE_S)
    assert stack.process(name).pid != killed
    wait_healthy(stack)
    assert cities(stack).status_code == 200


def test_a_killed_supervisor_leaves_nothing_and_the_next_one_is_ready_in_time(stack: RunningStack) -> None:
    before = stack.state()
    stack.kill("supervisor")
    began_s = time.monotonic()
    stack.start()
    assert time.monotonic() - began_s < WARM_START_S_MAX
    assert not any(process.is_live for process in before.processes)
    assert cities(stack).status_code == 200


def test_the_idle_platform_fits_into_its_memory(stack: RunningStack) -> None:
    found = collect_status(stack.settings, stack.layout)
    assert found.ready
    assert 100_000_000 < found.proportional_bytes < IDLE_BYTES_MAX


def test_two_matchers_and_two_apis_are_told_apart(stack: RunningStack) -> None:
    stack.stop()
    doubled = RunningStack(
        stack.layout.home,
        {"LASTMILE_ASSIGNMENT_API_PROCESSES": "2", "LASTMILE_MATCHER_PROCESSES": "2"},
    )
    with doubled:
        names = {process.name for process in doubled.state().processes}
        assert {"assignment-api-1", "assignment-api-2", "assignment-matcher-1", "assignment-matcher-2"} <= names
        doubled.kill("assignment-api-1")
        doubled.wait_ready(DEADLINE_S)
        assert cities(doubled).status_code == 200

"""What is far too much is refused before it costs memory or keeps others waiting."""

import select
import socket
from collections.abc import Callable

import grpc
import psutil
import pytest

from libs.embedded.stack import RunningStack
from tests.rest import Rest

HUGE_BYTES, CHUNK_BYTES = 100_000_000, 65_536
GROWTH_BYTES_MAX = 8_000_000
# What is within the limits is parsed, and the allocator keeps pages for the next time: after some times, no more of
# them. If each time left something behind, it would add up to as much as was sent.
WARM_TIMES, TIMES, KEPT_SHARE_MAX, NOISE_BYTES = 8, 12, 1 / 3, 16_000_000
JSON = {"Content-Type": "application/json"}


def gateway_bytes(stack: RunningStack) -> int:
    """The gateway's resident memory."""
    return int(psutil.Process(stack.process("gateway").pid).memory_info().rss)


def bytes_kept(process: psutil.Process, send: Callable[[], None]) -> int:
    """How much more memory a process has after sending TIMES times than when it is warm, at least."""
    warm, later = [], []
    for _ in range(WARM_TIMES):
        send()
        warm.append(process.memory_info().rss)
    for _ in range(TIMES):
        send()
        later.append(process.memory_info().rss)
    return int(min(later[TIMES // 2 :]) - max(warm[WARM_TIMES // 2 :]))


def kept_bytes_max(sent_bytes: int) -> float:
    """More than this would be kept if each time left behind what was sent."""
    return max(NOISE_BYTES, sent_bytes * TIMES * KEPT_SHARE_MAX)


def connect(stack: RunningStack, head: str) -> socket.socket:
    """A connection that has sent the head of a creation, and nothing of its body."""
    connection = socket.create_connection((str(stack.settings.host), stack.settings.gateway_http_port), timeout=10)
    lines = ["POST /v1/deliveries HTTP/1.1", "Host: test", f"Authorization: Bearer {stack.ops_api_key}", head]
    connection.sendall("\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode())
    return connection


def send_huge(stack: RunningStack, head: str) -> tuple[bytes, int]:
    """Send a huge body until there is an answer; return it, and how much was sent by then."""
    chunk = b"x" * CHUNK_BYTES
    if "chunked" in head:
        chunk = f"{CHUNK_BYTES:x}\r\n".encode() + chunk + b"\r\n"
    with connect(stack, head) as connection:
        sent_bytes = 0
        while sent_bytes < HUGE_BYTES:
            readable, writable, _ = select.select([connection], [connection], [], 10)
            if readable or not writable:
                break
            connection.sendall(chunk)
            sent_bytes += CHUNK_BYTES
        return connection.recv(65_536), sent_bytes


@pytest.mark.parametrize("head", [f"Content-Length: {HUGE_BYTES}", "Transfer-Encoding: chunked"])
def test_a_huge_body_is_refused_before_it_is_here_and_costs_no_memory(
    running_stack: RunningStack, ops: Rest, head: str
) -> None:
    before = gateway_bytes(running_stack)
    for _ in range(3):
        answer, sent_bytes = send_huge(running_stack, head)
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
        assert b"application/problem+json" in answer
        assert b"connection: close" in answer.lower()
        # What the limit lets pass, and what the kernels' buffers hold.
        assert sent_bytes < HUGE_BYTES / 4
    assert ops.ask("GET", "/v1/cities").status_code == 200
    assert gateway_bytes(running_stack) - before < GROWTH_BYTES_MAX


def test_large_anonymous_bodies_are_refused_long_before_the_large_ones_of_callers(ops: Rest) -> None:
    refused = ops.http.post("/v1/tokens", content=b" " * 100_000, headers=JSON)
    assert refused.status_code == 413


@pytest.mark.parametrize(
    ("rpc", "data", "fields"),
    [
        ("DeliveryService/BatchCreateDeliveries", b"\x0a\x00" * 4_000_000, ["requests"]),
        ("PartnerService/BatchOnboardPartners", b"\x0a\x00" * 4_000_000, ["requests"]),
        ("AssignmentService/Match", b"\x0a\x00" * 4_000_000, ["packages"]),
        ("AssignmentService/Match", b"\x12\x00" * 4_000_000, ["partners"]),
        ("DeliveryService/CreateDelivery", b"\xff" * 100, []),
        ("DeliveryService/CreateDelivery", b"\x0a\x05\x12\x03\xff\xfe\xfd", []),
    ],
)
def test_bytes_that_no_client_should_send_are_invalid_and_cost_no_memory(
    running_stack: RunningStack, ops: Rest, rpc: str, data: bytes, fields: list[str]
) -> None:
    token = ops.post("/v1/tokens", {"apiKey": running_stack.ops_api_key})["accessToken"]
    api = psutil.Process(running_stack.process("assignment-api").pid)
    with grpc.insecure_channel(running_stack.grpc_target) as channel:
        call = channel.unary_unary(f"/lastmile.assignment.v1.{rpc}", None, None)

        def send() -> None:
            with pytest.raises(grpc.RpcError) as refused:
                call(data, metadata=[("authorization", f"Bearer {token}")], timeout=10)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert [field for field in fields if field not in str(refused.value.details())] == []

        assert bytes_kept(api, send) < kept_bytes_max(len(data))


def test_a_body_that_stays_away_does_not_keep_others_waiting(running_stack: RunningStack, ops: Rest) -> None:
    with connect(running_stack, "Content-Length: 1000"):
        assert ops.ask("GET", "/v1/cities").status_code == 200


@pytest.mark.parametrize("rows", [1_001, 1_000_000])
def test_a_batch_above_its_limit_is_refused_whole(running_stack: RunningStack, ops: Rest, rows: int) -> None:
    content = b'{"requests": [' + b"{}," * (rows - 1) + b"{}]}"
    gateway = psutil.Process(running_stack.process("gateway").pid)

    def send() -> None:
        refused = ops.http.post("/v1/deliveries:batchCreate", content=content, headers=JSON)
        assert refused.status_code == 400, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == ["requests"]

    assert bytes_kept(gateway, send) < kept_bytes_max(len(content))

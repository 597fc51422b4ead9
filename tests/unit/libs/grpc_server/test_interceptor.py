"""What a call is answered when it fails, and that nothing of it is kept."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from lastmile.assignment.v1 import delivery_pb2, delivery_pb2_grpc
from lastmile.reconciliation.v1 import settlement_pb2, settlement_pb2_grpc

from libs.grpc_server.call import Origin, current_call
from libs.grpc_server.errors import NotFoundError, ResourceExhaustedError
from libs.grpc_server.identity import Principal, Role, TokenSigner, TokenVerifier
from libs.grpc_server.server import GrpcServer, ServerLimits

SERVICE = delivery_pb2.DESCRIPTOR.services_by_name["DeliveryService"].full_name
STREAMING = settlement_pb2.DESCRIPTOR.services_by_name["SettlementService"].full_name
CALLS, REQUEST_BYTES = 20, 2_000_000
KEPT_BYTES_MAX = 3 * REQUEST_BYTES
# Number 100, of two million bytes: a field that no message knows is read over.
UNKNOWN_FIELD = b"\xa2\x06\x80\x89\x7a" + bytes(REQUEST_BYTES)
CANCEL = delivery_pb2.CancelDeliveryRequest(delivery_id="01a20000-0000-7000-8000-000000000000")


class Refusing(delivery_pb2_grpc.DeliveryServiceServicer):
    """Answers nothing."""

    async def ListDeliveries(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        raise ResourceExhaustedError("not now")

    async def GetDelivery(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        current_call().origin = Origin("standby", 5, 1234)
        raise NotFoundError("no such delivery")

    async def CancelDelivery(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        raise LookupError("a bug")


class Streaming(settlement_pb2_grpc.SettlementServiceServicer):
    """Streams as many pieces as the cycle's number, and then has no more."""

    async def DownloadPayoutFile(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        for number in range(request.cycle_no):
            yield settlement_pb2.DownloadPayoutFileResponse(content=bytes([number]))
        current_call().origin = Origin("standby", 5, 1234)
        if request.cycle_no > 3:
            raise NotFoundError("no more")


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[tuple[grpc.aio.Channel, str]]:
    """A channel to a server, and an ops token that it takes."""
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    server = GrpcServer("127.0.0.1:0", [SERVICE, STREAMING], TokenVerifier(public), ServerLimits())
    delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(Refusing(), server.server)
    settlement_pb2_grpc.add_SettlementServiceServicer_to_server(Streaming(), server.server)
    await server.server.start()
    token, _ = TokenSigner(private, timedelta(hours=1)).sign(Principal("test", Role.OPS), datetime.now(UTC))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened, token
    await server.server.stop(None)


@pytest.fixture
def without_collections() -> Iterator[None]:
    """As between two full collections of a busy server, which are far apart."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


@pytest.mark.usefixtures("without_collections")
@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("BatchCreateDeliveries", b"\x0a\x00" * (REQUEST_BYTES // 2), grpc.StatusCode.INVALID_ARGUMENT),
        ("CreateDelivery", b"\xff" * REQUEST_BYTES, grpc.StatusCode.INVALID_ARGUMENT),
        ("ListDeliveries", UNKNOWN_FIELD, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("CancelDelivery", CANCEL.SerializeToString() + UNKNOWN_FIELD, grpc.StatusCode.INTERNAL),
    ],
)
async def test_a_refused_request_is_not_kept(
    channel: tuple[grpc.aio.Channel, str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    data: bytes,
    code: grpc.StatusCode,
) -> None:
    # pytest keeps what is logged, with its traceback.
    monkeypatch.setattr(logging.getLogger("grpc"), "propagate", False)
    opened, token = channel
    call = opened.unary_unary(f"/{SERVICE}/{method}", None, None)

    async def refused() -> None:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(data, metadata=[("authorization", f"Bearer {token}")])
        assert error.value.code() is code

    await refused()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(CALLS):
        await refused()
    await asyncio.sleep(0)
    kept = tracemalloc.get_traced_memory()[0] - before
    assert kept < KEPT_BYTES_MAX, f"{kept} bytes after {CALLS} requests of {REQUEST_BYTES}"


async def test_that_there_is_no_such_thing_has_an_age_as_any_answer(channel: tuple[grpc.aio.Channel, str]) -> None:
    opened, token = channel
    wanted = delivery_pb2.GetDeliveryRequest(delivery_id=CANCEL.delivery_id)
    metadata = [("authorization", f"Bearer {token}"), ("x-request-id", "r1")]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await delivery_pb2_grpc.DeliveryServiceStub(opened).GetDelivery(wanted, metadata=metadata)
    told = dict(error.value.trailing_metadata())
    assert (told["answer-source"], told["answer-age-ms"], told["x-request-id"]) == ("standby", "1234", "r1")
    assert told["grpc-status-details-bin"]


async def streamed(
    channel: tuple[grpc.aio.Channel, str], cycle_no: int, file_format: int = 1
) -> tuple[list[int], grpc.StatusCode, dict[str, Any]]:
    """What a stream gave, how it ended, and what was told then."""
    opened, token = channel
    request = settlement_pb2.DownloadPayoutFileRequest(cycle_no=cycle_no)
    request.format = file_format  # type: ignore[assignment]  # a number that may be none of the enum's
    stub = settlement_pb2_grpc.SettlementServiceStub(opened)
    call = stub.DownloadPayoutFile(request, metadata=[("authorization", f"Bearer {token}")], timeout=20)
    got = []
    try:
        async for piece in call:
            got.append(piece.content[0])  # noqa: PERF401 - what came before an error counts
    except grpc.aio.AioRpcError as error:
        return got, error.code(), dict(error.trailing_metadata())
    return got, await call.code(), dict(await call.trailing_metadata())


async def test_a_stream_of_answers_is_checked_answered_and_ended_as_any_call(
    channel: tuple[grpc.aio.Channel, str],
) -> None:
    got, code, told = await streamed(channel, 3)
    assert (got, code, told["answer-source"]) == ([0, 1, 2], grpc.StatusCode.OK, "standby")
    got, code, told = await streamed(channel, 5)
    assert (got, code, told["answer-age-ms"]) == ([0, 1, 2, 3, 4], grpc.StatusCode.NOT_FOUND, "1234")
    assert told["grpc-status-details-bin"]
    assert (await streamed(channel, 0))[:2] == ([], grpc.StatusCode.INVALID_ARGUMENT)
    assert (await streamed((channel[0], "nobody"), 3))[:2] == ([], grpc.StatusCode.UNAUTHENTICATED)

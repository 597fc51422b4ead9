"""Statements to the reconciliation api, a piece at a time, as they come."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import grpc
from google.protobuf.message import Message
from lastmile.reconciliation.v1 import statement_pb2 as pb

from services.gateway.rest.metadata import text_of
from services.gateway.rest.upstream import Upstream

RPC = "/lastmile.reconciliation.v1.StatementService/UploadStatement"
# What the service answers to the first message when it wants the others.
_GOES_ON, _GOES_ON_S = "upload", 5.0
_PIECE_BYTES = 256 * 1024


async def upload_statement(
    upstream: Upstream,
    source_code: str,
    file_name: str,
    pieces: AsyncIterator[bytes],
    metadata: list[tuple[str, str]],
    timeout_s: float,
) -> tuple[Message, dict[str, str]]:
    """Return what a file came to, and the answer's metadata. Raises AioRpcError, and what `pieces` raises.

    Nothing of the file is sent before the service says that it wants it: the reason of a refusal can get lost while
    more is being sent (https://github.com/grpc/grpc/issues/36066).
    """
    call = upstream.stream_call(RPC)(None, timeout=timeout_s, metadata=metadata)
    file = pb.StatementFile(source_code=source_code, file_name=file_name)
    try:
        listens = await _write(call, pb.UploadStatementRequest(file=file)) and await _goes_on(call)
        async for piece in pieces:
            for part in _parts(piece):
                listens = listens and await _write(call, pb.UploadStatementRequest(content=part))
            if not listens:
                break
        if listens:
            await call.done_writing()
    except BaseException:
        call.cancel()
        raise
    return await _answer(call)


async def _goes_on(call: grpc.aio.StreamUnaryCall[bytes, bytes]) -> bool:
    """Return whether the service wants the file. One of an older version says nothing before it has the file."""
    try:
        return _GOES_ON in await asyncio.wait_for(call.initial_metadata(), _GOES_ON_S)
    except TimeoutError:
        return True


async def _write(call: grpc.aio.StreamUnaryCall[bytes, bytes], message: Message) -> bool:
    """Send a message; return whether it was taken. A service that has answered already takes none."""
    try:
        await call.write(message.SerializeToString())
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError, grpc.aio.BaseError):
        return False
    return True


async def _answer(call: grpc.aio.StreamUnaryCall[bytes, bytes]) -> tuple[Message, dict[str, str]]:
    raw = await call
    return pb.UploadStatementResponse.FromString(raw), text_of(await call.trailing_metadata())


def _parts(piece: bytes) -> Iterator[bytes]:
    for start in range(0, len(piece), _PIECE_BYTES):
        yield piece[start : start + _PIECE_BYTES]

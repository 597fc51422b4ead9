"""Files of payouts from the reconciliation api, a piece at a time, as they come."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from services.gateway.rest.upstream import Upstream

RPC = "/lastmile.reconciliation.v1.SettlementService/DownloadPayoutFile"
FORMATS = {"nach": pb.PAYOUT_FILE_FORMAT_NACH, "csv": pb.PAYOUT_FILE_FORMAT_CSV}


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way. `pieces` are its bytes, and end the call when they are not wanted any more."""

    file_name: str
    pieces: AsyncIterator[bytes]


async def download_payouts(
    upstream: Upstream, cycle_no: int, file_format: str, metadata: list[tuple[str, str]], timeout_s: float
) -> Download:
    """Return a file once its first piece is here, so that a refusal is an answer. Raises AioRpcError."""
    request = pb.DownloadPayoutFileRequest(cycle_no=cycle_no, format=FORMATS[file_format])
    call = upstream.streaming_call(RPC)(request.SerializeToString(), timeout=timeout_s, metadata=metadata)
    stream = aiter(call)
    first = pb.DownloadPayoutFileResponse.FromString(await anext(stream))
    return Download(first.file_name, _pieces(call, stream, first.content))


async def _pieces(
    call: grpc.aio.UnaryStreamCall[bytes, bytes], stream: AsyncIterator[bytes], first: bytes
) -> AsyncIterator[bytes]:
    try:
        yield first
        async for raw in stream:
            yield pb.DownloadPayoutFileResponse.FromString(raw).content
    finally:
        call.cancel()

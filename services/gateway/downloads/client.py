"""Files of payouts from the reconciliation api, a piece at a time, as they come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lastmile.reconciliation.v1 import settlement_pb2 as pb

from services.gateway.rest.upstream import Upstream

RPC = "/lastmile.reconciliation.v1.SettlementService/DownloadPayoutFile"
FORMATS = {"nach": pb.PAYOUT_FILE_FORMAT_NACH, "csv": pb.PAYOUT_FILE_FORMAT_CSV}


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way. `pieces` are its bytes."""

    file_name: str
    pieces: AsyncIterator[bytes]


@asynccontextmanager
async def download_payouts(
    upstream: Upstream, cycle_no: int, file_format: str, metadata: list[tuple[str, str]], timeout_s: float
) -> AsyncIterator[Download]:
    """Yield a file once its first piece is here, so that a refusal is an answer. Raises AioRpcError.

    The call ends with the block, whether or not anybody has taken the pieces.
    """
    request = pb.DownloadPayoutFileRequest(cycle_no=cycle_no, format=FORMATS[file_format])
    call = upstream.streaming_call(RPC)(request.SerializeToString(), timeout=timeout_s, metadata=metadata)
    try:
        stream = aiter(call)
        first = pb.DownloadPayoutFileResponse.FromString(await anext(stream))
        yield Download(first.file_name, _pieces(stream, first.content))
    finally:
        call.cancel()


async def _pieces(stream: AsyncIterator[bytes], first: bytes) -> AsyncIterator[bytes]:
    yield first
    async for raw in stream:
        yield pb.DownloadPayoutFileResponse.FromString(raw).content

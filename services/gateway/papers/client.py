"""One paper of the reconciliation api, a piece at a time, as it comes."""

from collections.abc import AsyncIterator
from typing import Self

import grpc
from lastmile.reconciliation.v1 import paper_pb2 as pb

from services.gateway.rest.problems import Problem, ProblemError, json_path, status_of
from services.gateway.rest.upstream import Upstream

RPC = "/lastmile.reconciliation.v1.PaperService/RenderPapers"


class PaperCall:
    """A call for one paper. Leaving the block ends it, wherever it is."""

    def __init__(
        self, upstream: Upstream, paper: pb.PaperRequest, metadata: list[tuple[str, str]], timeout_s: float
    ) -> None:
        request = pb.RenderPapersRequest(papers=[paper])
        self._call = upstream.streaming_call(RPC)(request.SerializeToString(), timeout=timeout_s, metadata=metadata)
        self._parts = aiter(self._call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()

    async def head(self) -> pb.PaperHead:
        """Return what the paper is. Raises AioRpcError, and the ProblemError of a paper that could not be made."""
        first = await anext(self._parts, None)
        if first is None:
            raise ProblemError(Problem(502, "PAPER_MISSING", "the service sent no paper"))
        told = pb.RenderPapersResponse.FromString(first)
        if told.HasField("error"):
            raise ProblemError(_problem_of(told.error))
        return told.head

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the paper's content. Raises AioRpcError."""
        async for part in self._parts:
            yield pb.RenderPapersResponse.FromString(part).content


def _problem_of(error: pb.PaperError) -> Problem:
    # Over REST there is one paper, and its labels are the body.
    errors = tuple((json_path(v.field.removeprefix("labels.")), v.description, v.rule) for v in error.field_violations)
    return Problem(status_of(grpc.StatusCode[error.code]), error.reason, error.message, errors)

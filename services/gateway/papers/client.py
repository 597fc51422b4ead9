"""One paper of the reconciliation api, a piece at a time, as it comes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import grpc
from lastmile.reconciliation.v1 import paper_pb2 as pb

from services.gateway.rest.codec import JsonCodec
from services.gateway.rest.problems import Problem, ProblemError, json_path, status_of
from services.gateway.rest.upstream import Upstream

RPC = "/lastmile.reconciliation.v1.PaperService/RenderPapers"

Paper = pb.PaperRequest
# What a body of labels is.
LABEL_SHEET = pb.LabelSheet.DESCRIPTOR


@dataclass(frozen=True, slots=True)
class Head:
    """What a paper is, before its content."""

    file_name: str
    size_bytes: int
    content_sha256: str


def labels(value: dict[str, Any], codec: JsonCodec) -> Paper:
    """Return the labels of a body; JsonRefusedError for one that is no LabelSheet."""
    sheet = pb.LabelSheet()
    codec.parse(value, sheet)
    return Paper(labels=sheet)


def invoice(invoice_id: str) -> Paper:
    """Return an invoice."""
    return Paper(invoice_id=invoice_id)


def settlement(cycle_no: int, party_kind: str, party_owner: str) -> Paper:
    """Return a party's statement of a cycle."""
    named = pb.SettlementPaper(cycle_no=cycle_no, party_kind=party_kind, party_owner=party_owner)
    return Paper(settlement=named)


class PaperCall:
    """A call for one paper. Leaving the block ends it, wherever it is."""

    def __init__(self, upstream: Upstream, paper: Paper, metadata: list[tuple[str, str]], timeout_s: float) -> None:
        request = pb.RenderPapersRequest(papers=[paper])
        self._call = upstream.streaming_call(RPC)(request.SerializeToString(), timeout=timeout_s, metadata=metadata)
        self._parts = aiter(self._call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()

    async def head(self) -> Head:
        """Return what the paper is. Raises AioRpcError, and the ProblemError of a paper that could not be made."""
        first = await anext(self._parts, None)
        if first is None:
            raise ProblemError(Problem(502, "PAPER_MISSING", "the service sent no paper"))
        told = pb.RenderPapersResponse.FromString(first)
        if told.HasField("error"):
            raise ProblemError(_problem_of(told.error))
        return Head(told.head.file_name, told.head.size_bytes, told.head.content_sha256)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the paper's content. Raises AioRpcError."""
        async for part in self._parts:
            yield pb.RenderPapersResponse.FromString(part).content


def _problem_of(error: pb.PaperError) -> Problem:
    # Over REST there is one paper, and its labels are the body.
    errors = tuple((json_path(v.field.removeprefix("labels.")), v.description, v.rule) for v in error.field_violations)
    return Problem(status_of(grpc.StatusCode[error.code]), error.reason, error.message, errors)

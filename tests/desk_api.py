"""The exceptions desk as operators use it."""

from typing import Any, Protocol

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lastmile.reconciliation.v1 import exception_pb2

from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_position import position

ASHA, BILAL = Principal("asha", Role.OPS), Principal("bilal", Role.OPS)
KIND = exception_pb2.ResolutionKind
STATE = exception_pb2.CaseState


class Api(Protocol):
    """Calls to the service's api."""

    exceptions: Any

    async def ask(self, method: Any, request: Any, principal: Principal = ...) -> Any: ...

    def has_seen(self, token: str) -> None: ...

    def credential(self, principal: Principal) -> tuple[str, str]: ...


class DeskApi:
    """The desk as operators use it."""

    def __init__(self, api: Api) -> None:
        self.api, self.stub = api, api.exceptions

    async def cases(self, by: Principal = ASHA, **wanted: Any) -> list[exception_pb2.Case]:
        """What is not resolved."""
        return list((await self.api.ask(self.stub.ListCases, exception_pb2.ListCasesRequest(**wanted), by)).cases)

    async def resolve(self, cases: list[exception_pb2.Case], kind: Any, by: Principal = ASHA, **more: Any) -> Any:
        """Resolve cases, or propose it."""
        request = exception_pb2.ResolveCasesRequest(case_ids=ids(cases), kind=kind, note="why", **more)
        return await self.api.ask(self.stub.ResolveCases, request, by)

    async def approve(self, resolution_id: str, by: Principal) -> Any:
        """Approve what is proposed."""
        request = exception_pb2.ApproveResolutionRequest(resolution_id=resolution_id, note="seen")
        return await self.api.ask(self.stub.ApproveResolution, request, by)

    async def decline(self, resolution_id: str, by: Principal) -> Any:
        """Decline what is proposed."""
        request = exception_pb2.DeclineResolutionRequest(resolution_id=resolution_id, note="no")
        return await self.api.ask(self.stub.DeclineResolution, request, by)

    async def shown(self, case: exception_pb2.Case) -> exception_pb2.GetCaseResponse:
        """A case with its trail."""
        request = exception_pb2.GetCaseRequest(case_id=case.discrepancy.id)
        answer: exception_pb2.GetCaseResponse = await self.api.ask(self.stub.GetCase, request)
        return answer

    async def verified(self, **known: Any) -> exception_pb2.VerifyAuditResponse:
        """What came of a verification of the trail."""
        answer: exception_pb2.VerifyAuditResponse = await self.api.ask(
            self.stub.VerifyAudit, exception_pb2.VerifyAuditRequest(**known)
        )
        return answer


def ids(cases: list[exception_pb2.Case]) -> list[str]:
    return [case.discrepancy.id for case in cases]


async def refused(call: Any) -> str:
    """The reason why a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info, status = error_details_pb2.ErrorInfo(), rpc_status.from_call(caught.value)
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def follow(api: Api, owner: asyncpg.Connection) -> None:
    """Have the next query see what is committed by now."""
    api.has_seen(await position(owner))


async def balance(owner: asyncpg.Connection, account: str) -> int:
    """What is booked on an account."""
    found: int = await owner.fetchval(
        "SELECT coalesce(sum(paise), 0)::bigint FROM reconciliation.postings WHERE account = $1", account
    )
    return found


async def of_class(desk: DeskApi, kind: str) -> list[exception_pb2.Case]:
    """The cases of a class."""
    return await desk.cases(**{"class": kind})

"""SettlementService: translates between the calls and the noun's rules and stores."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.reconciliation.v1 import settlement_pb2

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.identity import Principal, Role
from services.reconciliation.database import Database
from services.reconciliation.errors import (
    CycleNotFoundError,
    SettlementLineNotFoundError,
    SettlementNotFoundError,
)
from services.reconciliation.ledger.postings import Account
from services.reconciliation.ledger.visibility import may_see
from services.reconciliation.settlements.codec import cycle_to, explained_to, line_to, settlement_to
from services.reconciliation.settlements.explaining import explain_line
from services.reconciliation.settlements.holds.servicer import HoldServicer, foreign_token, party_of
from services.reconciliation.settlements.limits import PayoutLimits, SettlementLimits
from services.reconciliation.settlements.opening import open_now
from services.reconciliation.settlements.payouts.servicer import PayoutServicer
from services.reconciliation.settlements.reading import store
from services.reconciliation.settlements.statement import Cycle, Statement

_NO_MAX = 2**31 - 1


class SettlementServicer(HoldServicer, PayoutServicer):
    """Answers SettlementService."""

    def __init__(self, database: Database, limits: SettlementLimits, payouts: PayoutLimits) -> None:
        self._database, self._limits, self._payouts = database, limits, payouts

    async def CloseCycle(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.CloseCycleRequest, context: Any
    ) -> settlement_pb2.CloseCycleResponse:
        """End a cycle."""
        call, now = current_call(), datetime.now(UTC)
        async with self._database.command(call) as connection:
            cycle, was_open = await open_now(connection, self._limits, request.city_code, call.principal.subject, now)
        return settlement_pb2.CloseCycleResponse(cycle=cycle_to(cycle, call.principal), was_open=was_open)

    async def GetCycle(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.GetCycleRequest, context: Any
    ) -> settlement_pb2.GetCycleResponse:
        """Return how far a cycle is."""
        call = current_call()
        async with self._database.query(call) as connection:
            cycle = await _cycle(connection, request.cycle_no)
            summary = await store.summary(connection, cycle.cycle_no)
        return settlement_pb2.GetCycleResponse(
            cycle=cycle_to(cycle, call.principal),
            statements_count=summary.statements_count,
            lines_count=summary.lines_count,
            closing_paise=summary.closing_paise,
            held_paise=summary.held_paise,
            payable_paise=summary.payable_paise,
        )

    async def ListCycles(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ListCyclesRequest, context: Any
    ) -> settlement_pb2.ListCyclesResponse:
        """List cycles."""
        call, size, before = current_call(), paging.page_size(request), paging.decode(request)
        if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 9):
            raise foreign_token()
        async with self._database.query(call) as connection:
            found = await store.cycles(connection, _NO_MAX if before is None else int(before), size + 1)
        token = paging.encode(request, str(found[size - 1].cycle_no)) if len(found) > size else ""
        sent = (cycle_to(one, call.principal) for one in found[:size])
        return settlement_pb2.ListCyclesResponse(cycles=sent, next_page_token=token)

    async def ListSettlements(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ListSettlementsRequest, context: Any
    ) -> settlement_pb2.ListSettlementsResponse:
        """List the statements of a cycle."""
        call, size = current_call(), paging.page_size(request)
        after = paging.decode(request) or ""
        async with self._database.query(call) as connection:
            cycle = await _cycle(connection, request.cycle_no)
            if own := _own_party(call.principal):
                found = await store.totals(connection, cycle, own)
                return settlement_pb2.ListSettlementsResponse(settlements=[settlement_to(found)] if found else [])
            statements = await store.statements(connection, cycle, after, size + 1)
        token = paging.encode(request, statements[size - 1].party) if len(statements) > size else ""
        sent = map(settlement_to, statements[:size])
        return settlement_pb2.ListSettlementsResponse(settlements=sent, next_page_token=token)

    async def GetSettlement(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.GetSettlementRequest, context: Any
    ) -> settlement_pb2.GetSettlementResponse:
        """Return one party's statement."""
        call = current_call()
        async with self._database.query(call) as connection:
            found = await _statement(connection, call.principal, request.cycle_no, party_of(request))
        cycle = cycle_to(found.cycle, call.principal)
        return settlement_pb2.GetSettlementResponse(settlement=settlement_to(found), cycle=cycle)

    async def ListSettlementLines(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ListSettlementLinesRequest, context: Any
    ) -> settlement_pb2.ListSettlementLinesResponse:
        """List the lines of one party's statement."""
        call, size, party = current_call(), paging.page_size(request), party_of(request)
        after = paging.decode_id(request) or UUID(int=0)
        async with self._database.query(call) as connection:
            await _statement(connection, call.principal, request.cycle_no, party)
            found = await store.lines(connection, request.cycle_no, str(party), after, size + 1)
        token = paging.encode(request, str(found[size - 1].entry_id)) if len(found) > size else ""
        return settlement_pb2.ListSettlementLinesResponse(lines=map(line_to, found[:size]), next_page_token=token)

    async def ExplainSettlementLine(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ExplainSettlementLineRequest, context: Any
    ) -> settlement_pb2.ExplainSettlementLineResponse:
        """Return where a line comes from."""
        party = party_of(request)
        async with self._database.query(current_call()) as connection:
            found = await explain_line(connection, party, UUID(request.entry_id))
        if found is None:
            raise SettlementLineNotFoundError(f"no statement of {party} has entry {request.entry_id}")
        return explained_to(found)


async def _cycle(connection: asyncpg.Connection, cycle_no: int) -> Cycle:
    cycle = await store.cycle(connection, cycle_no)
    if cycle is None:
        raise CycleNotFoundError(f"there is no cycle {cycle_no}")
    return cycle


async def _statement(connection: asyncpg.Connection, principal: Principal, cycle_no: int, party: Account) -> Statement:
    cycle = await _cycle(connection, cycle_no)
    found = await store.totals(connection, cycle, str(party)) if may_see(principal, party) else None
    if found is None:
        raise SettlementNotFoundError(f"{party} has no statement of cycle {cycle_no} that you may see")
    return found


def _own_party(principal: Principal) -> str:
    """Return the only party whose statements the caller may see; empty for ops, who see all."""
    if principal.role is Role.MERCHANT:
        return f"merchant:{principal.merchant_id}"
    return f"partner:{principal.partner_id}" if principal.role is Role.PARTNER else ""

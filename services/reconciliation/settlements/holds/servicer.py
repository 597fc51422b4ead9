"""The part of SettlementService that is about lines that are held."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.reconciliation.v1 import settlement_pb2, settlement_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.reconciliation.database import Database
from services.reconciliation.errors import HoldNotFoundError
from services.reconciliation.ledger.postings import Account, AccountKind
from services.reconciliation.settlements.codec import change_to, hold_to
from services.reconciliation.settlements.holds import store
from services.reconciliation.settlements.holds.holding import Asked, change
from services.reconciliation.settlements.holds.store import Hold
from services.reconciliation.settlements.lifecycle import HoldAction


class HoldServicer(settlement_pb2_grpc.SettlementServiceServicer):
    """Answers what holds, releases and lists."""

    _database: Database

    async def HoldLine(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.HoldLineRequest, context: Any
    ) -> settlement_pb2.HoldLineResponse:
        """Hold a line."""
        action = HoldAction.DISPUTE if request.is_dispute else HoldAction.HOLD
        return settlement_pb2.HoldLineResponse(hold=hold_to(await self._change(request, action)))

    async def ReleaseLine(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ReleaseLineRequest, context: Any
    ) -> settlement_pb2.ReleaseLineResponse:
        """Release a line."""
        return settlement_pb2.ReleaseLineResponse(hold=hold_to(await self._change(request, HoldAction.RELEASE)))

    async def GetHold(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.GetHoldRequest, context: Any
    ) -> settlement_pb2.GetHoldResponse:
        """Return a line that was held, and its history."""
        party, entry_id = str(party_of(request)), UUID(request.entry_id)
        async with self._database.query(current_call()) as connection:
            hold = await store.get(connection, party, entry_id)
            if hold is None:
                raise HoldNotFoundError(f"the line of {party} was never held")
            changes = await store.changes(connection, party, entry_id)
        return settlement_pb2.GetHoldResponse(hold=hold_to(hold), changes=map(change_to, changes))

    async def ListHolds(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ListHoldsRequest, context: Any
    ) -> settlement_pb2.ListHoldsResponse:
        """List lines that are held."""
        if bool(request.party_kind) != bool(request.party_owner):
            said = "must be told together with the other of the two"
            raise InvalidArgumentError.of(FieldViolation("party_kind", said, "party.whole"))
        party = str(party_of(request)) if request.party_kind else ""
        size, after = paging.page_size(request), _after(paging.decode(request))
        async with self._database.query(current_call()) as connection:
            found = await store.in_force(connection, party, after, size + 1)
        last = found[size - 1] if len(found) > size else None
        token = paging.encode(request, f"{last.party} {last.entry_id}") if last else ""
        return settlement_pb2.ListHoldsResponse(holds=map(hold_to, found[:size]), next_page_token=token)

    async def _change(self, request: Any, action: HoldAction) -> Hold:
        call = current_call()
        asked = Asked(party_of(request), UUID(request.entry_id), action, request.reason, call.principal.subject)
        async with self._database.command(call) as connection:
            return await change(connection, asked, datetime.now(UTC))


def party_of(request: Any) -> Account:
    """Return the party that a request names."""
    return Account(AccountKind(request.party_kind), request.party_owner)


def _after(key: str | None) -> tuple[str, UUID]:
    if key is None:
        return "", UUID(int=0)
    party, _, entry_id = key.partition(" ")
    try:
        return party, UUID(entry_id)
    except ValueError:
        raise foreign_token() from None


def foreign_token() -> InvalidArgumentError:
    """Return the refusal of a page token that no list has made."""
    said = "is not a token that this list issued"
    return InvalidArgumentError.of(FieldViolation("page_token", said, "page_token.foreign"))

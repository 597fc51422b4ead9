"""LedgerService: translates between the calls and the noun's rules and store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.reconciliation.v1 import ledger_pb2, ledger_pb2_grpc

from libs.grpc_server.call import current_call
from libs.grpc_server.errors import InvalidArgumentError
from libs.grpc_server.identity import Principal, Role
from services.reconciliation.database import Database
from services.reconciliation.errors import AccountNotFoundError, DeliveryNotFoundError
from services.reconciliation.ledger import store
from services.reconciliation.ledger.codec import entry_to, explanation_to
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.explaining import explanation_of
from services.reconciliation.ledger.explanation import PARTNER_LINES
from services.reconciliation.ledger.postings import Account, AccountKind
from services.reconciliation.ledger.visibility import may_see
from services.reconciliation.timestamps import datetime_of, problems_of, timestamp


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """Answers LedgerService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetBalance(  # noqa: N802 - named by the proto
        self, request: ledger_pb2.GetBalanceRequest, context: Any
    ) -> ledger_pb2.GetBalanceResponse:
        """Return the balance of an account at a moment."""
        call, at = current_call(), datetime.now(UTC)
        if request.HasField("at"):
            if violations := problems_of(request.at, "at"):
                raise InvalidArgumentError.of(*violations)
            at = datetime_of(request.at)
        account = Account(AccountKind(request.account_kind), request.account_owner)
        if not may_see(call.principal, account):
            raise AccountNotFoundError(f"there is no account {account} that you may see")
        async with self._database.query(call) as connection:
            paise, postings = await store.balance(connection, account, at)
        return ledger_pb2.GetBalanceResponse(
            account=str(account), balance_paise=paise, postings_count=postings, at=timestamp(at)
        )

    async def GetDeliveryEntries(  # noqa: N802 - named by the proto
        self, request: ledger_pb2.GetDeliveryEntriesRequest, context: Any
    ) -> ledger_pb2.GetDeliveryEntriesResponse:
        """Return what is booked for a delivery, with the arithmetic done again."""
        call, delivery_id = current_call(), UUID(request.delivery_id)
        principal = call.principal
        async with self._database.query(call) as connection:
            entries = await store.entries_of(connection, [delivery_id])
            if principal.role is Role.PARTNER:
                entries = [entry for entry in entries if str(entry.partner_id) == principal.partner_id]
            if not entries:
                raise DeliveryNotFoundError(f"nothing is booked for delivery {delivery_id}")
            found = [
                entry_to(
                    entry,
                    (posting for posting in entry.postings if may_see(principal, posting.account)),
                    await _explanation(connection, entry, entries, principal),
                )
                for entry in entries
            ]
        return ledger_pb2.GetDeliveryEntriesResponse(entries=found)


async def _explanation(
    connection: asyncpg.Connection, entry: Entry, known: Sequence[Entry], principal: Principal
) -> ledger_pb2.Explanation | None:
    """Do an entry's arithmetic again, for those who may see it."""
    found = None if principal.role is Role.MERCHANT else await explanation_of(connection, entry, known)
    if found is None:
        return None
    is_ops = principal.role is Role.OPS
    return explanation_to(
        found,
        (line for line in found.lines if is_ops or line.kind in PARTNER_LINES),
        (posting for posting in found.before if may_see(principal, posting.account)),
    )

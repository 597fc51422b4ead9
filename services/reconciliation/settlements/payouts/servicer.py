"""The part of SettlementService that is about payouts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from lastmile.reconciliation.v1 import settlement_pb2, settlement_pb2_grpc

from libs.grpc_server.call import current_call
from services.reconciliation.database import Database
from services.reconciliation.settlements.codec import FORMATS, batch_to, confirmed_to, tally_to
from services.reconciliation.settlements.limits import PayoutLimits, SettlementLimits
from services.reconciliation.settlements.payouts import store
from services.reconciliation.settlements.payouts.batch import file_name
from services.reconciliation.settlements.payouts.confirming import confirm
from services.reconciliation.settlements.payouts.paying import batch_of, file_of, pay_out


class PayoutServicer(settlement_pb2_grpc.SettlementServiceServicer):
    """Answers what pays out, writes files, and takes the bank's word."""

    _database: Database
    _limits: SettlementLimits
    _payouts: PayoutLimits

    async def CreatePayouts(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.CreatePayoutsRequest, context: Any
    ) -> settlement_pb2.CreatePayoutsResponse:
        """Make the payouts of a cycle."""
        call = current_call()
        async with self._database.command(call) as connection:
            batch, was_there = await pay_out(
                connection, request.cycle_no, call.principal.subject, datetime.now(UTC), self._limits.overlap_s
            )
        return settlement_pb2.CreatePayoutsResponse(batch=batch_to(batch), was_there=was_there)

    async def GetPayouts(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.GetPayoutsRequest, context: Any
    ) -> settlement_pb2.GetPayoutsResponse:
        """Return how many payouts of a cycle are in which state."""
        async with self._database.query(current_call()) as connection:
            batch = await batch_of(connection, request.cycle_no)
            tallies = await store.tallies(connection, batch.batch_no)
        return settlement_pb2.GetPayoutsResponse(batch=batch_to(batch), tallies=map(tally_to, tallies))

    async def DownloadPayoutFile(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.DownloadPayoutFileRequest, context: Any
    ) -> AsyncIterator[settlement_pb2.DownloadPayoutFileResponse]:
        """Stream the file of a cycle's payouts."""
        form, query = FORMATS[request.format], partial(self._database.query, current_call())
        async with query() as connection:
            batch = await batch_of(connection, request.cycle_no)
        name = file_name(batch, form)
        async for content in file_of(batch, form, self._payouts.file_piece, query):
            yield settlement_pb2.DownloadPayoutFileResponse(file_name=name, content=content)
            name = ""

    async def ConfirmPayouts(  # noqa: N802 - named by the proto
        self, request: settlement_pb2.ConfirmPayoutsRequest, context: Any
    ) -> settlement_pb2.ConfirmPayoutsResponse:
        """Settle the payouts that a statement names."""
        statement_id, limits = UUID(request.statement_id), self._payouts
        async with self._database.command(current_call()) as connection:
            found = await confirm(
                connection, statement_id, datetime.now(UTC), limits.confirm_piece, limits.problems_shown_max
            )
        return confirmed_to(found)

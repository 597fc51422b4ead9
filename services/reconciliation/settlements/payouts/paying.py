"""Makes the payouts of a cycle, once, and writes their file a piece at a time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

import asyncpg

from services.reconciliation.errors import (
    CycleNotClosedError,
    CycleNotFoundError,
    CycleSupersededError,
    PaymentsNotBookedError,
    PayoutsIncompleteError,
    PayoutsNotFoundError,
)
from services.reconciliation.settlements import store
from services.reconciliation.settlements.payments import store as payments
from services.reconciliation.settlements.payouts import store as payouts
from services.reconciliation.settlements.payouts.batch import Batch, FileFormat, writer
from services.reconciliation.settlements.reading import store as reading

# Opens a reading transaction.
Query = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


async def pay_out(
    connection: asyncpg.Connection, cycle_no: int, by: str, now: datetime, overlap_s: float
) -> tuple[Batch, bool]:
    """Make payouts of all that is payable for a cycle, within the caller's transaction; return the batch, and whether
    it was there. `overlap_s` is how far before a cycle's end entries may be that it lacks.

    Raises CycleNotFoundError, CycleNotClosedError, CycleSupersededError when a later cycle has what it left, and
    PaymentsNotBookedError when it is not known yet what others have paid.
    """
    await store.lock(connection)
    cycle = await reading.cycle(connection, cycle_no)
    if cycle is None:
        raise CycleNotFoundError(f"there is no cycle {cycle_no}")
    if cycle.closed_at is None:
        raise CycleNotClosedError(f"cycle {cycle_no} is still being closed")
    if there := await payouts.batch_of(connection, cycle_no):
        return there, True
    if later := await payouts.superseded_by(connection, cycle_no):
        raise CycleSupersededError(f"cycle {later} has what cycle {cycle_no} left: pay that out")
    if run_no := await payments.next_run(connection):
        raise PaymentsNotBookedError(f"what run {run_no} found that was paid is not booked yet; try again")
    await payouts.create(connection, cycle, by, now, cycle.until_at - timedelta(seconds=overlap_s))
    return await batch_of(connection, cycle_no), False


async def batch_of(connection: asyncpg.Connection, cycle_no: int) -> Batch:
    """Return what is paid out for a cycle. Raises PayoutsNotFoundError."""
    batch = await payouts.batch_of(connection, cycle_no)
    if batch is None:
        raise PayoutsNotFoundError(f"nothing is paid out for cycle {cycle_no}")
    return batch


async def file_of(batch: Batch, form: FileFormat, rows_max: int, query: Query) -> AsyncIterator[bytes]:
    """Yield a batch's file in pieces of at most `rows_max` payouts, each by a query of its own.

    Whoever reads it slowly keeps no query waiting. Raises PayoutsIncompleteError instead of the end of the file where a
    query was answered by somebody who does not know all of them yet.
    """
    parts, sequence = writer(form), 0
    text = parts.head(batch)
    while sequence < batch.payouts_count:
        async with query() as connection:
            rows = await payouts.payouts(connection, batch.batch_no, sequence, rows_max)
        if not rows:
            raise PayoutsIncompleteError(f"only {sequence} of {batch.payouts_count} payouts are known here; try again")
        yield (text + "".join(map(parts.record, rows))).encode("ascii")
        text, sequence = "", rows[-1].sequence
    yield (text + parts.tail(batch)).encode("ascii")

"""Opens runs, one after the other: what each looks at is settled when it is opened, and so is how it is cut."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at, made_at
from services.reconciliation.runs import store
from services.reconciliation.runs.limits import RunLimits
from services.reconciliation.runs.rules import RunRules, chunks_of, count_of, fractions, sample_mask
from services.reconciliation.runs.run import Run
from services.reconciliation.runs.telling import store as telling

_FIRST = UUID(int=0)


def rules_of(limits: RunLimits) -> RunRules:
    """Return what a run judges by where nobody says otherwise."""
    return RunRules(limits.tolerance_paise, limits.tolerance_min, limits.payout_due_min)


async def open_run(
    connection: asyncpg.Connection, rules: RunRules, limits: RunLimits, by: str, now: datetime
) -> tuple[Run, bool]:
    """Open the next run, within the caller's transaction; return it, or the open one, and whether it was open."""
    await store.lock(connection)
    last = await store.last(connection)
    if last is not None and last.closed_at is None:
        return last, True
    run_no = last.run_no + 1 if last else 1
    # An entry has its id before it can be seen: what is looked at must not gain any while it is.
    until = floor_at(now - timedelta(seconds=limits.settle_s))
    since = await _since(connection, last, timedelta(seconds=limits.overlap_s))
    window = (min(since, until), until)
    await store.add_statements(connection, run_no)
    entries, lines = await store.count_rows(connection, run_no, *window)
    count = count_of(max(entries, lines), limits.chunk_rows, limits.chunks_max)
    run = Run(
        run_no, rules.tolerance_paise, rules.tolerance_min, rules.payout_due_min, count, *window, now, now, by
    )  # fmt: skip
    await store.add_run(connection, run)
    entry_ids: list[UUID] = []
    delivery_ids: list[UUID] = []
    if count > 1:
        entry_ids, delivery_ids = await store.bounds(
            connection, run_no, window, fractions(count), sample_mask(max(entries, lines) // count),
            by_entries=entries >= lines,
        )  # fmt: skip
    await store.add_chunks(connection, run_no, chunks_of(count, *window, entry_ids, delivery_ids))
    await telling.tell(connection, run_no, telling.AT_ONCE)
    return run, False


async def _since(connection: asyncpg.Connection, last: Run | None, overlap: timedelta) -> UUID:
    if last is None:
        return _FIRST
    left = await store.left_from(connection, last.run_no)
    since = floor_at(made_at(last.entries_until) - overlap)
    return min(left, since) if left is not None else since

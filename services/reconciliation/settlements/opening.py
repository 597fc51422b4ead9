"""Opens cycles, one after the other in each calendar: what each takes is settled when it is opened."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at
from services.reconciliation.errors import CalendarNotFoundError, CycleNotOverError
from services.reconciliation.settlements import store
from services.reconciliation.settlements.cycles import parse
from services.reconciliation.settlements.lifecycle import ORDER
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.statement import Cycle

_FIRST = UUID(int=0)
# How long the first cycle is that is closed on demand where none is due by itself.
_FIRST_LENGTH = timedelta(days=7)


async def open_due(connection: asyncpg.Connection, limits: SettlementLimits, now: datetime) -> bool:
    """Open the cycles that have ended by themselves, within the caller's transaction; return whether there were any."""
    latest = now - timedelta(seconds=limits.settle_s)
    opened = False
    for calendar, text in limits.calendars.items():
        cycle = parse(text)
        if cycle.length is None:
            continue
        last = await store.last(connection, calendar)
        if last is not None and last.closed_at is None:
            continue
        if span := cycle.due(last.until_at if last else None, latest):
            await store.lock(connection)
            # Another worker may have opened it meanwhile.
            if await store.last(connection, calendar) == last:
                await _open(connection, limits, calendar, last, span, "schedule", now)
                opened = True
    return opened


async def open_now(
    connection: asyncpg.Connection, limits: SettlementLimits, calendar: str, by: str, now: datetime
) -> tuple[Cycle, bool]:
    """End a calendar's cycle now, within the caller's transaction; return it, or the open one, and whether it was open.

    Raises CalendarNotFoundError, and CycleNotOverError when the last one has only just ended.
    """
    if calendar not in limits.calendars:
        raise CalendarNotFoundError(f"{calendar} has no cycles of its own: leave the city out for those of all others")
    await store.lock(connection)
    last = await store.last(connection, calendar)
    if last is not None and last.closed_at is None:
        return last, True
    until = now - timedelta(seconds=limits.settle_s)
    if last is not None and last.until_at >= until:
        raise CycleNotOverError(f"cycle {last.cycle_no} has only just ended: nothing could be settled yet")
    length = parse(limits.calendars[calendar]).length or _FIRST_LENGTH
    span = (last.until_at if last else until - length, until)
    return await _open(connection, limits, calendar, last, span, by, now), False


async def _open(
    connection: asyncpg.Connection,
    limits: SettlementLimits,
    calendar: str,
    last: Cycle | None,
    span: tuple[datetime, datetime],
    by: str,
    now: datetime,
) -> Cycle:
    from_at, until_at = span
    overlap = timedelta(seconds=limits.overlap_s)
    made = store.NewCycle(
        cycle_no=await store.last_no(connection) + 1,
        calendar=calendar,
        previous_no=last.cycle_no if last else None,
        from_at=from_at,
        until_at=until_at,
        # Whatever was booked before the first one, or was being written when the last one ended, is taken too.
        entries_from=floor_at(last.until_at - overlap) if last else _FIRST,
        entries_until=floor_at(until_at),
        own_cities=limits.own_cities,
        state=ORDER[0],
        opened_at=now,
        opened_by=by,
    )
    await store.add_cycle(connection, made)
    return Cycle(made.cycle_no, calendar, from_at, until_at, made.state, now, by)

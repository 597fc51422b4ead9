"""Closes cycles: a piece at a time, each one transaction that also says how far it is. Whoever is killed leaves nothing
half done, and whoever comes next goes on there. Any number of workers may run; a cycle is closed by one at a time."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import asyncpg

from libs.postgres.errors import UNREACHABLE
from libs.telemetry import error_text
from services.reconciliation.ledger.guarantee import Duty, top_up_paise
from services.reconciliation.ledger.postings import top_up_postings
from services.reconciliation.settlements import metrics, store
from services.reconciliation.settlements.booking import Booking, cause_of, entry_id_of
from services.reconciliation.settlements.closing import store as closing
from services.reconciliation.settlements.closing.store import PartnerDuty, TopUp
from services.reconciliation.settlements.lifecycle import State, after
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.opening import open_due
from services.reconciliation.settlements.payments.booking import book_next_run
from services.reconciliation.settlements.statement import FORM, LineKind
from services.reconciliation.settlements.store import OpenCycle

log = logging.getLogger("settlements")

_SAID_CHARS_MAX = 500


# What is left alone beside cycles, which count from 1.
_BOOKING = 0
# A statement that takes too long does so again.
_TOO_SLOW = (TimeoutError, asyncpg.QueryCanceledError)


class Closer:
    """Works on whatever cycle is open, and opens those that are due. What has failed is left alone for a while: others
    go on meanwhile."""

    def __init__(self, primary: asyncpg.Pool, limits: SettlementLimits) -> None:
        self._primary, self._limits = primary, limits
        # Until when, by the monotonic clock. There is one open cycle of each calendar.
        self._left_alone: dict[int, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a piece that was begun is finished."""
        while not stop.is_set():
            found_work = False
            try:
                found_work = await self.work_once()
            except UNREACHABLE as error:
                log.warning("the database is away, or too slow", extra={"error": error_text(error)})
            except Exception:
                # The piece is rolled back and tried again.
                log.exception("closing a cycle failed")
            if not found_work:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._limits.poll_s)

    async def work_once(self) -> bool:
        """Do the next piece there is to do; return whether there was any."""
        now = datetime.now(UTC)
        self._left_alone = {what: until for what, until in self._left_alone.items() if until > monotonic()}
        async with self._primary.acquire() as connection:
            if await self._book(connection, now) or await self._close_piece(connection, now):
                return True
            async with connection.transaction():
                return await open_due(connection, self._limits, now)

    async def _book(self, connection: asyncpg.Connection, now: datetime) -> bool:
        if _BOOKING in self._left_alone:
            return False
        try:
            return await book_next_run(connection, self._limits.own_cities, now)
        except Exception as error:
            self._leave_alone(_BOOKING, error)
            raise

    async def _close_piece(self, connection: asyncpg.Connection, now: datetime) -> bool:
        cycle = None
        try:
            async with connection.transaction():
                cycle = await store.hold_open(connection, list(self._left_alone))
                if cycle is not None:
                    await self._do(connection, cycle, now)
        except Exception as error:
            if cycle is not None and self._leave_alone(cycle.cycle_no, error):
                with suppress(*UNREACHABLE):
                    await store.note_failure(connection, cycle.cycle_no, repr(error)[:_SAID_CHARS_MAX])
            raise
        return cycle is not None

    def _leave_alone(self, what: int, error: Exception) -> bool:
        """Leave alone what fails by itself, and not since the database is away; return whether that is so."""
        if isinstance(error, UNREACHABLE) and not isinstance(error, _TOO_SLOW):
            return False
        metrics.FAILURES.inc()
        self._left_alone[what] = monotonic() + self._limits.retry_s
        return True

    async def _do(self, connection: asyncpg.Connection, cycle: OpenCycle, now: datetime) -> None:
        match cycle.state:
            case State.GATHER:
                position = await self._gather(connection, cycle)
            case State.TOP_UP:
                position = await self._top_up(connection, cycle, now)
            case State.STATE:
                position = await self._state(connection, cycle)
            case State.CLOSED:
                raise ValueError("nothing is done in a closed cycle")
        then = cycle.state if position else after(cycle.state)
        closed_at = now if then is State.CLOSED else None
        await store.move_on(connection, cycle.cycle_no, then, position, closed_at)
        if closed_at:
            metrics.CLOSED.inc()
            log.info("cycle is closed", extra={"cycle_no": cycle.cycle_no})

    async def _gather(self, connection: asyncpg.Connection, cycle: OpenCycle) -> str:
        since = UUID(cycle.position) if cycle.position else cycle.entries_from
        last = await closing.gather(connection, cycle, since, self._limits.entries_piece)
        if last is None:
            await closing.note_shown(connection)
        return str(last or "")

    async def _top_up(self, connection: asyncpg.Connection, cycle: OpenCycle, now: datetime) -> str:
        since = UUID(cycle.position) if cycle.position else UUID(int=0)
        partner_ids = await closing.partners(connection, since, self._limits.partners_piece)
        if not partner_ids:
            return ""
        made = [
            TopUp(entry_id_of(_cause(cycle, duty), cycle.until_at), duty, paise)
            for duty in await closing.duties(connection, cycle, partner_ids)
            if (paise := top_up_paise(Duty(duty.earned_paise, duty.on_duty_s), duty.guarantee_paise_per_h))
        ]
        await store.book(connection, [_topped_up(cycle, one) for one in made], now)
        await closing.add_top_ups(connection, cycle.cycle_no, made)
        return str(partner_ids[-1])

    async def _state(self, connection: asyncpg.Connection, cycle: OpenCycle) -> str:
        some = await closing.parties(connection, cycle, cycle.position, self._limits.parties_piece)
        if some:
            await closing.state(connection, cycle.cycle_no, some, FORM)
        return some[-1] if some else ""


def _cause(cycle: OpenCycle, duty: PartnerDuty) -> UUID:
    return cause_of(LineKind.GUARANTEE, cycle.cycle_no, duty.partner_id)


def _topped_up(cycle: OpenCycle, made: TopUp) -> Booking:
    duty: PartnerDuty = made.duty
    return Booking(
        made.entry_id, LineKind.GUARANTEE, _cause(cycle, duty), tuple(duty.event_ids), cycle.calendar, cycle.until_at,
        top_up_postings(duty.partner_id, "", made.paise), duty.partner_id, duty.version, duty.rate_card_id,
    )  # fmt: skip

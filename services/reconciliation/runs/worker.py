"""A worker: opens runs when they are due, does chunk after chunk, closes runs that are done. Any number may work."""

import asyncio
import logging
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg

from libs.postgres.errors import UNREACHABLE
from services.reconciliation.exceptions.desk import close_settled
from services.reconciliation.runs import lifecycle, metrics, store
from services.reconciliation.runs.collecting import store as collecting
from services.reconciliation.runs.finding import store as finding
from services.reconciliation.runs.judging import store as judging
from services.reconciliation.runs.lifecycle import State
from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.runs.posting import store as posting
from services.reconciliation.runs.run import Claim, Held
from services.reconciliation.runs.schedule import parse
from services.reconciliation.runs.telling import store as telling

log = logging.getLogger("runs")

_SAID_CHARS_MAX = 500


class LeaseLostError(Exception):
    """Another worker has taken the chunk over."""


class Worker:
    """Works on whatever run is open."""

    def __init__(self, primary: asyncpg.Pool, runs: RunLimits, limits: WorkerLimits) -> None:
        self._primary, self._runs, self._limits = primary, runs, limits
        self._holder = uuid.uuid4().hex
        self._schedule = parse(limits.schedule)
        self._tell_next_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a chunk that was begun is finished."""
        while not stop.is_set():
            try:
                found_work = await self.work_once()
            except UNREACHABLE as error:
                log.warning("the database is away", extra={"error": repr(error)})
                found_work = False
            if not found_work:
                await _wait(stop, self._limits.poll_s)

    async def work_once(self) -> bool:
        """Do the next thing there is to do; return whether there was any."""
        now = datetime.now(UTC)
        async with self._primary.acquire() as connection:
            claimed = await self.claim(connection)
            if claimed is not None:
                await self.attempt(connection, claimed)
                return True
            return await self._close_or_open(connection, now)

    async def claim(self, connection: asyncpg.Connection) -> Claim | None:
        """Take the next chunk that may be worked on, or None."""
        lease = timedelta(seconds=self._limits.lease_ttl_s)
        return await store.claim(connection, self._holder, lease)

    async def attempt(self, connection: asyncpg.Connection, claimed: Claim) -> None:
        """Do a chunk's states until one that waits; whatever goes wrong concerns this chunk alone."""
        doing: Claim | None = claimed
        while doing is not None:
            doing = await self._attempt(connection, doing)

    async def _attempt(self, connection: asyncpg.Connection, claimed: Claim) -> Claim | None:
        if claimed.attempts > self._limits.attempts_max:
            # Whoever tried it so often did not live to say why.
            await self._give_up(connection, claimed, "its workers ended", quarantine=True)
            return None
        try:
            kept = await self._do(connection, claimed)
        except LeaseLostError:
            log.info("chunk was taken over", extra=_told(claimed))
            return None
        except UNREACHABLE:
            raise
        except Exception as error:
            log.exception("chunk failed", extra=_told(claimed))
            is_last = claimed.attempts >= self._limits.attempts_max
            await self._give_up(connection, claimed, repr(error), quarantine=is_last)
            return None
        metrics.CHUNKS.labels(claimed.state).inc()
        await self._tell(connection, claimed.run_no)
        return kept

    async def _tell(self, connection: asyncpg.Connection, run_no: int) -> None:
        """Tell how far the run is, now and then: what of it nobody was told is in the next event, or the last."""
        now_s, every_s = asyncio.get_running_loop().time(), self._limits.tell_every_s
        if now_s < self._tell_next_at:
            return
        self._tell_next_at = now_s + every_s
        async with connection.transaction():
            await telling.tell(connection, run_no, timedelta(seconds=every_s))

    async def _do(self, connection: asyncpg.Connection, claimed: Claim) -> Claim | None:
        then = lifecycle.transition_of(claimed.state).then
        keeps = then is not State.DONE and then not in lifecycle.WAITING
        lease = timedelta(seconds=self._limits.lease_ttl_s) if keeps else None
        async with connection.transaction():
            held = await store.hold(connection, claimed)
            if held is None:
                raise LeaseLostError
            if claimed.state is State.COLLECT:
                tallies, found = await collecting.collect(connection, held)
                await store.note_collected(connection, claimed, found)
            else:
                tallies = await self._tallies(connection, claimed.state, held)
            return await store.move_on(connection, claimed, then, tallies, lease)

    async def _tallies(self, connection: asyncpg.Connection, state: State, held: Held) -> dict[str, int]:
        match state:
            case State.NORMALIZE:
                return await collecting.normalize(connection, held)
            case State.MATCH_EXACT:
                return await collecting.match_exact(connection, held)
            case State.MATCH_BY_RULE:
                return await finding.match_by_rule(connection, held, self._limits)
            case State.CLASSIFY:
                return await judging.classify(connection, held)
            case State.POST:
                return await posting.post(connection, held)
        raise ValueError(f"nothing is done in {state}")

    async def _give_up(self, connection: asyncpg.Connection, claimed: Claim, said: str, *, quarantine: bool) -> None:
        first, longest = self._limits.backoff_first_s, self._limits.backoff_longest_s
        wait = lifecycle.backoff(claimed.attempts, timedelta(seconds=first), timedelta(seconds=longest))
        await store.fail(connection, claimed, said[:_SAID_CHARS_MAX], wait, quarantine=quarantine)
        if quarantine:
            metrics.QUARANTINED.inc()
            log.error("chunk is quarantined", extra=_told(claimed) | {"said": said[:_SAID_CHARS_MAX]})

    async def _close_or_open(self, connection: asyncpg.Connection, now: datetime) -> bool:
        async with connection.transaction():
            # A chunk that is taken again is so before the run is closed, or after it.
            await store.lock(connection)
            run_no = await store.to_close(connection)
            if run_no is not None:
                for chunk in await store.left_out(connection, run_no):
                    await collecting.set_aside(connection, run_no, chunk)
                await store.close(connection, run_no, now)
                await close_settled(connection, now)
                await telling.tell(connection, run_no, telling.AT_ONCE)
                log.info("run is closed", extra={"run_no": run_no})
                return True
        last = await store.last(connection)
        is_open = last is not None and last.closed_at is None
        if is_open or not self._schedule.is_due(last.opened_at if last else None, now):
            return False
        async with connection.transaction():
            run, was_open = await open_run(connection, rules_of(self._runs), self._runs, "schedule", now)
        log.info("run is open", extra={"run_no": run.run_no, "was_open": was_open})
        return True


def _told(claimed: Claim) -> dict[str, object]:
    return {"run_no": claimed.run_no, "chunk": claimed.chunk, "state": claimed.state, "attempts": claimed.attempts}


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

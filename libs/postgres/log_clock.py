"""How old what stands at a position of the log is, by the clock of this process alone.

A process looks at the primary's log a few times a second and remembers what it saw when, by its own monotonic clock.
Whatever covers a position that was seen at a time lacks nothing that was committed before that time. So the age of an
answer is a difference between two readings of one clock: clocks of other hosts may be as wrong as they like.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Callable

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.log_position import number_of
from libs.postgres.outages import NOT_ANSWERED
from libs.telemetry import error_text

log = logging.getLogger("postgres")

# Serves no index: functions. A log file's name begins with the timeline.
_SAMPLE = "SELECT pg_current_wal_flush_lsn()::text"
# PostgreSQL writes whole pages of its own accord, and a page may end within a record whose rest nobody is in a hurry to
# write, for up to 15 seconds. No standby can replay to there, though it lacks nothing: a commit of nothing ends that.
_PAGE_BYTES = 8_192
_COMMIT_NOTHING = "SELECT pg_logical_emit_message(true, 'lastmile.clock', '')"
_HISTORY = """
SELECT system_identifier::text || '.' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) FROM pg_control_system()
"""


class ClockLimits(BaseModel):
    """How closely the primary's log is watched."""

    model_config = ConfigDict(frozen=True)

    sample_every_ms: int = Field(200, gt=0, description="Time between looks at the primary's log: ages are this coarse")
    remembered_s: float = Field(900.0, gt=0, description="An answer that is older than this is of unknown age")
    answer_timeout_s: float = Field(1.0, gt=0, description="The primary is away when it answers later than this")
    away_wait_s: float = Field(0.5, gt=0, description="Wait before the next look at a primary that is away")


async def history_of(primary: asyncpg.Connection | asyncpg.Pool) -> str:
    """Return which cluster's and timeline's positions the primary gives out."""
    return str(await primary.fetchval(_HISTORY))


class LogClock:
    """Where the primary's log was when, as far as this process has seen."""

    def __init__(self, limits: ClockLimits, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now_s = now_s
        # Both ascend. A position stands once, with the last time at which it was the newest.
        self._positions: list[int] = []
        self._seen_at_s: list[float] = []
        # Which history the positions are of: another cluster's or another timeline's may say the same and mean another.
        self.history = ""

    def note(self, asked_at_s: float, position: int) -> None:
        """Remember that the log had come to `position`, asked at a time: before it, nothing beyond was committed."""
        if self._positions and position < self._positions[-1]:
            self._positions.clear()
            self._seen_at_s.clear()
        if self._positions and position == self._positions[-1]:
            self._seen_at_s[-1] = asked_at_s
        else:
            self._positions.append(position)
            self._seen_at_s.append(asked_at_s)
        # The newest sample from before the span still tells the age of what lies within it.
        old = bisect_right(self._seen_at_s, asked_at_s - self._limits.remembered_s) - 1
        if old > len(self._positions) // 2:
            del self._positions[:old], self._seen_at_s[:old]

    def age_ms(self, position: int) -> int | None:
        """Return how long ago what covers `position` was surely the newest there was; None when that is unknown."""
        place = bisect_right(self._positions, position) - 1
        return None if place < 0 else max(0, int((self._now_s() - self._seen_at_s[place]) * 1000))

    def behind_ms(self, position: int) -> int | None:
        """Return how far `position` is behind the newest position that was seen, in time; None when that is unknown.

        Unlike the age it stands still while the primary is away: nothing newer is known then, and nothing is better.
        """
        place = bisect_right(self._positions, position) - 1
        return None if place < 0 else max(0, int((self._seen_at_s[-1] - self._seen_at_s[place]) * 1000))

    def has_not_come_to(self, position: int, since_s: float) -> bool:
        """Whether the log was looked at after a time, by `time.monotonic`, and was not at `position` then."""
        return bool(self._positions) and self._seen_at_s[-1] >= since_s and self._positions[-1] < position

    async def run(self, dsn: str, application_name: str) -> None:
        """Look at the primary until cancelled, over one connection that no query ever has."""
        is_away = False
        while True:
            connection = None
            try:
                timeout_s = self._limits.answer_timeout_s
                connection = await asyncpg.connect(
                    dsn,
                    timeout=timeout_s,
                    command_timeout=timeout_s,
                    server_settings={"application_name": application_name},
                )
                history = await history_of(connection)
                if history != self.history:
                    self._positions.clear()
                    self._seen_at_s.clear()
                    self.history = history
                is_away = False
                while True:
                    asked_at_s = self._now_s()
                    position = number_of(await connection.fetchval(_SAMPLE))
                    self.note(asked_at_s, position)
                    if position % _PAGE_BYTES == 0:
                        await connection.execute(_COMMIT_NOTHING)
                    await asyncio.sleep(self._limits.sample_every_ms / 1000)
            except NOT_ANSWERED as error:
                if not is_away:
                    log.warning("the primary's log cannot be seen: ages grow", extra={"error": error_text(error)})
                is_away = True
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(self._limits.away_wait_s)

"""Housekeeping: partitions are made weeks ahead and dropped weeks later, references and idempotency keys forgotten.

Every matcher calls it, and one at a time works. Each step finds by itself what there is to do: what was cut off, or did
not get its lock, is done by the next call.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Self
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.assignment.idempotency import store as idempotency
from services.assignment.retention import store

log = logging.getLogger("retention")
_LOWEST = UUID(int=0)


class RetentionLimits(BaseModel):
    """How long things are kept, and how much is done at once."""

    model_config = ConfigDict(frozen=True)

    weeks_ahead: int = Field(8, gt=0, le=52, description="Weekly partitions kept ready")
    weeks_ahead_min: int = Field(2, ge=0, description="A week to come that lacks a partition by now is an error")
    weeks_kept: int = Field(13, gt=0, le=520, description="Full weeks that deliveries and all about them are kept")
    idempotency_key_days: int = Field(7, gt=0, description="An idempotency key is forgotten after this")
    forget_rows_max: int = Field(10_000, gt=0, description="Keys or references forgotten in one transaction")
    forget_batches_max: int = Field(100, gt=0, description="Such transactions of each kind in one housekeeping")
    lock_wait_ms: int = Field(
        500, gt=0, lt=1_000, description="Longest wait for a table; below PostgreSQL's deadlock_timeout, so as to yield"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weeks_ahead_min > self.weeks_ahead:
            raise ValueError("weeks_ahead_min is more than weeks_ahead: there would always be an error")
        if self.idempotency_key_days > 7 * self.weeks_kept:
            raise ValueError("idempotency_key_days exceeds weeks_kept: answers would name deliveries that are gone")
        return self


async def keep_house(connection: asyncpg.Connection, limits: RetentionLimits, now: datetime) -> bool:
    """Do what is due; return False at once when another process is at it."""
    if not await store.lead(connection):
        return False
    try:
        dropped = await _keep_partitions(connection, limits, now)
        before = now - timedelta(days=limits.idempotency_key_days)
        rows_max = limits.forget_rows_max
        keys = await _forget(partial(idempotency.forget, connection, before, rows_max), limits)
        state = await store.partition_state(connection, now, limits.weeks_ahead_min)
        # And those of weeks whose keeper was cut off.
        references = 0
        for low, high in [*(week.ids for week in dropped), (_LOWEST, state.oldest)]:
            references += await _forget(partial(store.forget_references, connection, low, high, rows_max), limits)
    finally:
        await store.stop_leading(connection)
    if state.missing:
        log.error("partitions are missing", extra={"partitions": state.missing})
    if state.strays:
        log.warning("rows are in no week: some host's clock was wrong", extra={"rows": state.strays})
    log.info("house kept", extra={"idempotency_keys_forgotten": keys, "references_forgotten": references})
    return True


async def _keep_partitions(
    connection: asyncpg.Connection, limits: RetentionLimits, now: datetime
) -> list[store.OldWeek]:
    """Make and drop partitions; return the weeks dropped."""
    dropped: list[store.OldWeek] = []
    try:
        if made := await store.make_partitions(connection, now, limits.weeks_ahead, limits.lock_wait_ms):
            log.info("partitions made", extra={"partitions": list(made)})
        while weeks := await store.drop_old_week(connection, now, limits.weeks_kept, limits.lock_wait_ms):
            if weeks[-1].live:
                break
            dropped.append(weeks[-1])
            log.info("week dropped", extra={"week": weeks[-1].week})
    except asyncpg.LockNotAvailableError as error:
        log.warning("partitions are left for later: a table is in use", extra={"error": str(error)})
        return dropped
    for week in weeks:
        log.warning("a week is kept for its live deliveries", extra={"week": week.week, "live": week.live})
    return dropped


async def _forget(some: Callable[[], Awaitable[int]], limits: RetentionLimits) -> int:
    """Call `some` until it finds less than a full batch; return the sum."""
    total = 0
    for _ in range(limits.forget_batches_max):
        forgotten = await some()
        total += forgotten
        if forgotten < limits.forget_rows_max:
            break
    return total

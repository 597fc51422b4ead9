"""Writes of deliveries: creations and moves, micro-batched, each with its idempotency key in its transaction.

Callers of one role share batches. A merchants' batch sees the merchants of its own items and no others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.grpc_server.call import Call
from libs.grpc_server.identity import Principal, Role
from libs.postgres.batcher import MicroBatcher
from libs.postgres.log_position import position
from libs.postgres.tenancy import Visibility, visible
from services.assignment.deliveries import store
from services.assignment.deliveries.store import NewDelivery
from services.assignment.idempotency import store as idempotency
from services.assignment.idempotency.command import IdempotentCommand
from services.assignment.offers.offer import Move, Moved
from services.assignment.offers.store import transition
from services.assignment.visibility import OPERATOR, TENANT

Item = TypeVar("Item")


class WriterLimits(BaseModel):
    """The limits of the micro-batched writes."""

    model_config = ConfigDict(frozen=True)

    batch_items_max: int = Field(256, gt=0, description="Creations or moves written in one transaction")
    queue_items_max: int = Field(4_000, gt=0, description="Creations or moves waiting; more are refused")
    writers: int = Field(2, gt=0, description="Transactions that write one kind of item at once")
    helped_items_min: int = Field(100, ge=0, description="Items that wait before a further transaction starts")
    bulk_writes_max: int = Field(4, gt=0, description="Batch requests written at once; more wait")


@dataclass(frozen=True, slots=True)
class Written:
    """The serialized answer, whether it is a replay, and the consistency token of the write."""

    response: bytes
    replayed: bool
    token: str


@dataclass(frozen=True, slots=True)
class Creation:
    """A delivery to create and its answer, which is known before."""

    row: NewDelivery
    response: bytes
    command: IdempotentCommand | None


@dataclass(frozen=True, slots=True)
class StateMove:
    """A move to make and how to answer it. `merchant_id` limits what the move may see.

    `also` writes, in the move's transaction and only if it is made, what must not come apart from it.
    """

    move: Move
    respond: Callable[[Moved], bytes]
    command: IdempotentCommand | None
    merchant_id: str | None
    also: Callable[[asyncpg.Connection], Awaitable[None]] | None = None


class DeliveryWriter:
    """The write side of deliveries. Run `run()` in the process's task group."""

    def __init__(self, primary: asyncpg.Pool, limits: WriterLimits, event_of: Callable[[Moved, str], str]) -> None:
        self._primary = primary
        self._event_of = event_of
        self._bulk_slots = asyncio.Semaphore(limits.bulk_writes_max)
        sizes = limits.model_dump(exclude={"bulk_writes_max"})
        self._creations = {
            True: MicroBatcher[Creation, Written](self._create_for_merchants, **sizes),
            False: MicroBatcher[Creation, Written](self._create_for_operators, **sizes),
        }
        self._moves = {
            True: MicroBatcher[StateMove, Written](self._move_for_merchants, **sizes),
            False: MicroBatcher[StateMove, Written](self._move_for_operators, **sizes),
        }

    async def run(self) -> None:
        """Write until close() was called and nothing waits any more."""
        async with asyncio.TaskGroup() as group:
            for creations in self._creations.values():
                group.create_task(creations.run())
            for moves in self._moves.values():
                group.create_task(moves.run())

    async def close(self) -> None:
        """Take no more writes."""
        for creations in self._creations.values():
            await creations.close()
        for moves in self._moves.values():
            await moves.close()

    async def create(self, principal: Principal, creation: Creation) -> Written:
        """Store one delivery, together with those that others are storing now."""
        return await self._creations[principal.role is Role.MERCHANT].submit(creation)

    async def move(self, principal: Principal, move: StateMove) -> Written:
        """Make one move, together with those that others are making now."""
        return await self._moves[principal.role is Role.MERCHANT].submit(move)

    async def create_many(
        self,
        visibility: Visibility,
        rows: Sequence[NewDelivery],
        command: IdempotentCommand | None,
        respond: Callable[[Sequence[Exception | None]], bytes],
    ) -> Written:
        """Store a batch of deliveries under one idempotency key; `respond` makes the answer from the outcomes."""
        async with self._bulk_slots, self._primary.acquire() as connection:
            async with visible(connection, visibility):
                (found,) = await idempotency.find(connection, [command])
                if isinstance(found, Exception):
                    raise found
                response = found
                if response is None:
                    response = respond(await store.create(connection, rows) if rows else [])
                    if command is not None:
                        await idempotency.store(connection, [(command, response)], datetime.now(UTC))
            return Written(response, found is not None, await position(connection))

    async def _create_for_merchants(self, items: Sequence[Creation]) -> Sequence[Written | Exception]:
        merchants = [item.row.delivery.details.merchant_id for item in items]
        return await self._create(items, Visibility.of(TENANT, merchants))

    async def _create_for_operators(self, items: Sequence[Creation]) -> Sequence[Written | Exception]:
        return await self._create(items, OPERATOR)

    async def _create(self, items: Sequence[Creation], visibility: Visibility) -> Sequence[Written | Exception]:
        async def effect(connection: asyncpg.Connection, new: Sequence[Creation]) -> list[bytes | Exception]:
            errors = await store.create(connection, [item.row for item in new])
            return [error or item.response for item, error in zip(new, errors, strict=True)]

        return await self._write(items, [item.command for item in items], visibility, effect)

    async def _move_for_merchants(self, items: Sequence[StateMove]) -> Sequence[Written | Exception]:
        return await self._move(items, Visibility.of(TENANT, [item.merchant_id for item in items]))

    async def _move_for_operators(self, items: Sequence[StateMove]) -> Sequence[Written | Exception]:
        return await self._move(items, OPERATOR)

    async def _move(self, items: Sequence[StateMove], visibility: Visibility) -> Sequence[Written | Exception]:
        async def effect(connection: asyncpg.Connection, new: Sequence[StateMove]) -> list[bytes | Exception]:
            moved = await transition(connection, [item.move for item in new], datetime.now(UTC), self._event_of)
            for item, result in zip(new, moved, strict=True):
                if item.also is not None and isinstance(result, Moved):
                    await item.also(connection)
            return [
                item.respond(result) if isinstance(result, Moved) else result
                for item, result in zip(new, moved, strict=True)
            ]

        return await self._write(items, [item.command for item in items], visibility, effect)

    async def _write(
        self,
        items: Sequence[Item],
        commands: Sequence[IdempotentCommand | None],
        visibility: Visibility,
        effect: Callable[[asyncpg.Connection, Sequence[Item]], Awaitable[list[bytes | Exception]]],
    ) -> Sequence[Written | Exception]:
        """Answer replays from the store, run `effect` for the others, and store their answers with it."""
        outcomes: list[bytes | Exception | None]
        async with self._primary.acquire() as connection:
            async with visible(connection, visibility):
                found = await idempotency.find(connection, commands)
                outcomes = list(found)
                new = [place for place, outcome in enumerate(found) if outcome is None]
                if new:
                    made = await effect(connection, [items[place] for place in new])
                    for place, result in zip(new, made, strict=True):
                        outcomes[place] = result
                answers = [
                    (command, outcome)
                    for place in new
                    if (command := commands[place]) is not None and isinstance(outcome := outcomes[place], bytes)
                ]
                await idempotency.store(connection, answers, datetime.now(UTC))
            token = await position(connection)
        return [
            Written(outcome, before is not None, token) if isinstance(outcome, bytes) else outcome or LookupError()
            for outcome, before in zip(outcomes, found, strict=True)
        ]


def finish(call: Call, written: Written) -> bytes:
    """Tell the caller the write's consistency token and whether it is a replay; return the serialized answer."""
    call.response_metadata["consistency-token"] = written.token
    if written.replayed:
        call.response_metadata["idempotent-replayed"] = "true"
    return written.response

"""Takes in what networks tell, by webhook or by polling: each update has one right outcome, however often it comes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg

from libs.grpc_server.errors import InvalidArgumentError, ServiceError
from libs.postgres.tenancy import visible
from services.assignment.database import SERVICE
from services.assignment.deliveries.lifecycle import Actor, OfferState
from services.assignment.deliveries.writer import DeliveryWriter, StateMove
from services.assignment.dispatch import metrics, store
from services.assignment.dispatch.update import Answer, NetworkUpdate, Outcome, Standing, is_stale, judged
from services.assignment.errors import (
    DeliveryNotFoundError,
    IllegalTransitionError,
    OfferEndedError,
    VersionConflictError,
)
from services.assignment.idempotency.command import IdempotentCommand
from services.assignment.offers.offer import Move
from services.assignment.visibility import OPERATOR

_UNKNOWN = Answer(Outcome.REFUSED, "OFFER_UNKNOWN")
# Another update of the delivery was faster by a moment: this one is looked at again.
_CONCURRENT = Answer(Outcome.TOO_EARLY, "ANOTHER_UPDATE")
_DONE = b"done"
# Less than what a move refuses as lying in the future.
_SKEW = timedelta(seconds=30)


class NetworkUpdates:
    """The write side of what networks tell."""

    def __init__(self, primary: asyncpg.Pool, writer: DeliveryWriter) -> None:
        self._primary = primary
        self._writer = writer

    async def apply(self, network_code: str, update: NetworkUpdate, command: IdempotentCommand | None = None) -> Answer:
        """Make the move that an update tells of, if it is right now; the move checks it under the delivery's lock.

        `command` names the update, so that it takes effect once. Raises what the database raises, and
        IdempotencyKeyInFlightError and IdempotencyKeyReusedError.
        """
        before = await self._standing(network_code, update)
        if before is None:
            return self._counted(network_code, _UNKNOWN)
        if is_stale(update, before):
            return self._counted(network_code, Answer(Outcome.ALREADY, "", before.offer_state.value))
        move = StateMove(move_of(update, before, datetime.now(UTC)), lambda _: _DONE, command, None, _told_at(update))
        try:
            written = await self._writer.move(SERVICE, move)
        except VersionConflictError:
            return self._counted(network_code, _CONCURRENT)
        except InvalidArgumentError as error:
            # An answer to an offer is tied to no version of its delivery, and another one may have come meanwhile.
            if "occurred_at.order" not in {violation.rule for violation in error.violations}:
                raise
            return self._counted(network_code, _CONCURRENT)
        except (OfferEndedError, IllegalTransitionError, DeliveryNotFoundError) as error:
            return self._counted(network_code, await self._judged(network_code, update, error))
        if written.replayed:
            metrics.REPLAYED.labels(network_code).inc()
        return self._counted(network_code, Answer(Outcome.DONE))

    async def _judged(self, network_code: str, update: NetworkUpdate, error: ServiceError) -> Answer:
        now = await self._standing(network_code, update)
        if now is None:
            return _UNKNOWN
        if error.metadata.get("state") == OfferState.EXPIRED.value:
            # Its time is over, and nobody has ended it yet: when somebody does, the network is told.
            return Answer(Outcome.REFUSED, "OFFER_ENDED", OfferState.EXPIRED.value)
        answer = judged(update, now)
        if update.is_accept and answer.outcome is Outcome.REFUSED:
            # What it is answered here, a network that is polled never sees.
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                await store.end_again(connection, update.offer_id)
        return answer

    async def _standing(self, network_code: str, update: NetworkUpdate) -> Standing | None:
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            return await store.standing(connection, update.offer_id, network_code)

    def _counted(self, network_code: str, answer: Answer) -> Answer:
        metrics.UPDATES.labels(network_code, answer.outcome.value).inc()
        return answer


def _told_at(update: NetworkUpdate) -> Callable[[asyncpg.Connection], Awaitable[None]] | None:
    """Return what keeps the time of an update: without it, what comes again would be taken for what comes next."""
    at = update.occurred_at
    return None if at is None else lambda connection: store.told_at(connection, update.offer_id, at)


def move_of(update: NetworkUpdate, standing: Standing, now: datetime) -> Move:
    """Return the move that an update tells of: at its time, within what our clock allows."""
    occurred_at = update.occurred_at
    if update.is_accept or occurred_at is None:
        occurred_at = None
    else:
        occurred_at = max(standing.state_at, min(occurred_at, now + _SKEW))
    return Move(
        delivery_id=standing.delivery_id,
        to_state=update.to_state,
        actor=Actor.PARTNER,
        occurred_at=occurred_at,
        only_partner_id=standing.partner_id,
        reason=update.reason,
        offer_id=update.offer_id,
        # Of a status: the state that it was judged by, and whose time it follows, is still that.
        expected_version=None if update.is_accept or update.is_reject else standing.version,
    )

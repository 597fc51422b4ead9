"""RateCardService: translates between the calls and the noun's rules and store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from lastmile.reconciliation.v1 import rate_card_pb2, rate_card_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.ids import new_id
from services.reconciliation.database import Database
from services.reconciliation.errors import RateCardExistsError, RateCardTooLateError
from services.reconciliation.ledger.rates import RateCard, RateTerms, Scope
from services.reconciliation.rate_cards import store
from services.reconciliation.rate_cards.codec import card_to, scope_from, terms_from
from services.reconciliation.timestamps import datetime_of, problems_of


class RateCardServicer(rate_card_pb2_grpc.RateCardServiceServicer):
    """Answers RateCardService."""

    def __init__(self, database: Database, notice_s: int) -> None:
        """`notice_s` is how long before its moment a further version must be made."""
        self._database = database
        self._notice = timedelta(seconds=notice_s)

    async def CreateRateCard(  # noqa: N802 - named by the proto
        self, request: rate_card_pb2.CreateRateCardRequest, context: Any
    ) -> rate_card_pb2.CreateRateCardResponse:
        """Make a version of a rate card."""
        call, now = current_call(), datetime.now(UTC)
        violations = _violations_of(request)
        terms = terms_from(request.terms) if not violations else None
        if terms is not None:
            violations = [FieldViolation(f"terms.{name}", what, "rate_terms") for name, what in terms.problems()]
        if terms is None or violations:
            raise InvalidArgumentError.of(*violations)
        scope, effective_from = scope_from(request.scope), datetime_of(request.effective_from)
        async with self._database.command(call) as connection:
            card = await self._create(connection, scope, effective_from, terms, now, call.principal.subject)
        return rate_card_pb2.CreateRateCardResponse(rate_card=card_to(card))

    async def ListRateCards(  # noqa: N802 - named by the proto
        self, request: rate_card_pb2.ListRateCardsRequest, context: Any
    ) -> rate_card_pb2.ListRateCardsResponse:
        """List versions, the youngest first."""
        call, size = current_call(), paging.page_size(request)
        before_id = paging.decode_id(request)
        async with self._database.query(call) as connection:
            found = await store.search(connection, before_id, request.city_code, size + 1)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return rate_card_pb2.ListRateCardsResponse(rate_cards=map(card_to, found[:size]), next_page_token=token)

    async def _create(
        self,
        connection: asyncpg.Connection,
        scope: Scope,
        effective_from: datetime,
        terms: RateTerms,
        now: datetime,
        subject: str,
    ) -> RateCard:
        await store.lock_scope(connection, scope)
        if there := await store.at(connection, scope, effective_from):
            if there.terms == terms:
                return there
            raise RateCardExistsError(
                f"version {there.version} begins then, with other terms", metadata={"rate_card_id": str(there.id)}
            )
        last = await store.last_version(connection, scope)
        earliest = now + self._notice
        if last and effective_from < earliest:
            raise RateCardTooLateError(
                f"version {last + 1} would apply to deliveries that may be paid already",
                metadata={"earliest": earliest.isoformat()},
            )
        card = RateCard(new_id(), scope, last + 1, effective_from, terms, now, subject)
        await store.create(connection, card)
        return card


def _violations_of(request: rate_card_pb2.CreateRateCardRequest) -> list[FieldViolation]:
    violations = problems_of(request.effective_from, "effective_from")
    for place, surge in enumerate(request.terms.surges):
        violations += problems_of(surge.starts_at, f"terms.surges[{place}].starts_at")
        violations += problems_of(surge.ends_at, f"terms.surges[{place}].ends_at")
    return violations

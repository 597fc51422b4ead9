"""The api over gRPC: rate cards in versions, balances of one's own accounts, and every paisa explained."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lastmile.reconciliation.v1 import ledger_pb2, rate_card_pb2

from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.money.rounding import share
from libs.postgres.log_position import position
from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.ledger.rates import RateCard
from services.reconciliation.rate_cards.codec import card_to
from services.reconciliation.timestamps import timestamp
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.ledger import STORY, card
from tests.ledger_events import Told


def request_for(city_code: str, effective_from: datetime, **terms: Any) -> rate_card_pb2.CreateRateCardRequest:
    """A version with every kind of term."""
    wanted = card_to(card())
    wanted.scope.city_code = city_code
    for name, value in terms.items():
        setattr(wanted.terms, name, value)
    return rate_card_pb2.CreateRateCardRequest(
        scope=wanted.scope, effective_from=timestamp(effective_from), terms=wanted.terms
    )


def reason_of(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def refused(api: LedgerApi, method: Any, request: Any, principal: Principal | None = None) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.ask(method, request, *([principal] if principal else []))
    return reason_of(error.value)


async def told(api: LedgerApi, books: asyncpg.Pool, city_code: str, states: tuple[str, ...] = STORY) -> Told:
    """A delivery whose events the consumer has handled, and that the next read sees."""
    made = Told(city_code, states)
    await Ledger(books).handle([made.partner_event, *made.events[:6]])
    if len(made.events) > 6:
        await Ledger(books).handle(made.events[6:])
    async with books.acquire() as connection:
        api.has_seen(await position(connection))
    return made


async def test_versions_count_and_are_listed_with_all_their_terms(api: LedgerApi, city_code: str) -> None:
    now = datetime.now(UTC)
    past, future = request_for(city_code, now - timedelta(days=30)), request_for(city_code, now + timedelta(days=1))
    first = (await api.ask(api.rate_cards.CreateRateCard, past)).rate_card
    second = (await api.ask(api.rate_cards.CreateRateCard, future)).rate_card
    assert (first.version, second.version) == (1, 2)
    assert first.terms == past.terms
    assert first.scope == past.scope
    assert first.created_by == "test"
    again = (await api.ask(api.rate_cards.CreateRateCard, past)).rate_card
    assert again == first
    listed = await api.ask(
        api.rate_cards.ListRateCards, rate_card_pb2.ListRateCardsRequest(city_code=city_code, page_size=1)
    )
    assert list(listed.rate_cards) == [second]
    rest = await api.ask(
        api.rate_cards.ListRateCards,
        rate_card_pb2.ListRateCardsRequest(city_code=city_code, page_size=1, page_token=listed.next_page_token),
    )
    assert (list(rest.rate_cards), rest.next_page_token) == ([first], "")


async def test_what_may_be_paid_already_gets_no_other_version(api: LedgerApi, city_code: str) -> None:
    now = datetime.now(UTC)
    await api.ask(api.rate_cards.CreateRateCard, request_for(city_code, now))
    for moment in (now - timedelta(days=1), now + timedelta(seconds=5)):
        late = request_for(city_code, moment)
        assert await refused(api, api.rate_cards.CreateRateCard, late) == "RATE_CARD_TOO_LATE"
    other = request_for(city_code, now, base_paise=1)
    assert await refused(api, api.rate_cards.CreateRateCard, other) == "RATE_CARD_EXISTS"


async def test_terms_that_cannot_be_meant_are_refused(api: LedgerApi, city_code: str) -> None:
    method, now = api.rate_cards.CreateRateCard, datetime.now(UTC)
    upside_down = request_for(city_code, now)
    upside_down.terms.peaks[0].end_min = 1
    assert await refused(api, method, upside_down) == "INVALID_ARGUMENT"
    assert await refused(api, method, request_for(city_code, now, gst_bp=10_001)) == "INVALID_ARGUMENT"
    never = request_for(city_code, now)
    never.effective_from.CopyFrom(Timestamp(seconds=-1))
    assert await refused(api, method, never) == "INVALID_ARGUMENT"
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(new_id()))
    assert await refused(api, method, request_for(city_code, now), merchant) == "ROLE_NOT_ALLOWED"


@pytest.mark.usefixtures("priced")
async def test_every_paisa_is_explained_by_arithmetic_that_anyone_can_do_again(
    api: LedgerApi, books: asyncpg.Pool, city_code: str
) -> None:
    made = await told(api, books, city_code)
    request = ledger_pb2.GetDeliveryEntriesRequest(delivery_id=str(made.delivery_id))
    (entry,) = (await api.ask(api.ledger.GetDeliveryEntries, request)).entries
    assert sum(posting.amount_paise for posting in entry.postings) == 0
    assert entry.explanation.agrees
    assert entry.explanation.rate_card.version == 1
    for line in entry.explanation.lines:
        assert line.amount_paise == share(line.of_paise, line.numerator, line.denominator)
        assert line.because
    by_kind = {line.kind: line.amount_paise for line in entry.explanation.lines}
    fee = next(p for p in entry.postings if p.purpose == "fee" and p.account.startswith("merchant:"))
    assert fee.amount_paise == by_kind["merchant_fee"]
    assert set(entry.event_ids) == {made.partner_event.id, *(made.events[place].id for place in (0, 2, 3, 5))}


@pytest.mark.usefixtures("priced")
async def test_a_late_cancellation_s_entry_names_what_it_undoes(
    api: LedgerApi, books: asyncpg.Pool, city_code: str
) -> None:
    made = await told(api, books, city_code, (*STORY, "cancelled"))
    request = ledger_pb2.GetDeliveryEntriesRequest(delivery_id=str(made.delivery_id))
    earned, undone = (await api.ask(api.ledger.GetDeliveryEntries, request)).entries
    assert undone.reverses_entry_id == earned.id
    assert undone.cause_event_id == made.events[-1].id
    assert not undone.HasField("explanation")


async def test_each_sees_what_is_its_own(api: LedgerApi, books: asyncpg.Pool, priced: RateCard, city_code: str) -> None:
    made, other = await told(api, books, city_code), await told(api, books, city_code)
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(made.merchant_id))
    partner = Principal("p", Role.PARTNER, partner_id=str(made.partner_id))
    mine = ledger_pb2.GetDeliveryEntriesRequest(delivery_id=str(made.delivery_id))
    for principal, own in ((merchant, f"merchant:{made.merchant_id}"), (partner, f":{made.partner_id}")):
        (entry,) = (await api.ask(api.ledger.GetDeliveryEntries, mine, principal)).entries
        assert entry.postings
        assert all(posting.account.endswith(own) for posting in entry.postings)
        foreign = ledger_pb2.GetDeliveryEntriesRequest(delivery_id=str(other.delivery_id))
        assert await refused(api, api.ledger.GetDeliveryEntries, foreign, principal) == "DELIVERY_NOT_BOOKED"
        kinds = {line.kind for line in entry.explanation.lines}
        assert ("base" in kinds) == (principal is partner)
        assert not kinds & {"merchant_fee", "gst"}


@pytest.mark.usefixtures("priced")
async def test_a_balance_is_one_s_own_and_of_its_moment(api: LedgerApi, books: asyncpg.Pool, city_code: str) -> None:
    before = datetime.now(UTC)
    made = await told(api, books, city_code)
    partner = Principal("p", Role.PARTNER, partner_id=str(made.partner_id))
    own = ledger_pb2.GetBalanceRequest(account_kind="cash", account_owner=str(made.partner_id))
    found = await api.ask(api.ledger.GetBalance, own, partner)
    assert (found.balance_paise, found.postings_count) == (49_900, 1)
    own.at.CopyFrom(timestamp(before))
    assert (await api.ask(api.ledger.GetBalance, own, partner)).balance_paise == 0
    foreign = ledger_pb2.GetBalanceRequest(account_kind="merchant", account_owner=str(made.merchant_id))
    assert await refused(api, api.ledger.GetBalance, foreign, partner) == "ACCOUNT_NOT_FOUND"
    assert (await api.ask(api.ledger.GetBalance, foreign)).postings_count == 3
    own.at.CopyFrom(Timestamp(seconds=1))
    assert await refused(api, api.ledger.GetBalance, own, partner) == "INVALID_ARGUMENT"

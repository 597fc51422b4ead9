"""Hand-overs that are corrected, as statements see them: one linked line of each correction, in the next cycle."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from lastmile.reconciliation.v1 import ledger_pb2
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.ledger import earnings
from services.reconciliation.ledger.guarantee import guaranteed_paise
from services.reconciliation.papers import store as papers
from services.reconciliation.rate_cards import store as rate_cards
from services.reconciliation.settlements.statement import StatementLine
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.settling import closed, first_line, line_of, paid_out
from tests.integration.services.reconciliation.test_api import refused
from tests.invariants import broken_invariants
from tests.ledger import EVENING, SCOPE, STORY, TERMS, card, version_of
from tests.ledger_events import Told, partner_event
from tests.settlements import City, balances, kinds

EARNED = frozenset(kind.value for kind in earnings.EARNED)
HAND_OVER = STORY.index("delivered")
# Half an hour later it was in the same peak, but late, and in no surge any more.
LATE = timedelta(hours=1, minutes=1)


def told_of(city: City, *more: str, by: timedelta = LATE, **told: object) -> Told:
    """A delivery that was handed over, and whose further hand-overs were each later than the one before."""
    made = Told(city.city_code, (*STORY, *more), **told)  # type: ignore[arg-type]  # of Told's own
    for place, change in enumerate(made.changes[HAND_OVER + 1 :], 1):
        if change.state == "delivered":
            made.changes[HAND_OVER + place] = replace(change, occurred_at=EVENING + place * by)
    made.events = [made.event_of(change) for change in made.changes]
    return made


async def hear(city: City, told: Told, *places: int) -> None:
    """Have the ledger hear of a delivery's changes, after its hand-over."""
    await Ledger(city.books).handle([told.events[HAND_OVER + place] for place in places])


async def handed_over(city: City, told: Told) -> Told:
    await Ledger(city.books).handle([told.partner_event, *told.events[: HAND_OVER + 1]])
    return told


async def test_a_correction_is_one_linked_line_of_the_next_cycle_however_often_it_arrives(
    city: City, owner: asyncpg.Connection
) -> None:
    told = await handed_over(city, told_of(city, "delivered"))
    party, merchant = f"partner:{told.partner_id}", f"merchant:{told.merchant_id}"
    before = await city.close()
    stated = {one: await city.statement(before, one) for one in (party, merchant)}
    for _ in range(3):
        await hear(city, told, 1)
    after = await city.close()
    right = await balances(owner, [party, merchant])
    for one, was in stated.items():
        found = await city.statement(after, one)
        assert found is not None
        assert was is not None
        (line,) = found.lines
        assert (line.kind, line.adjusts_cycle_no) == ("correction", before)
        assert (line.adjusts_entry_id, line.delivery_id) == (was.lines[0].entry_id, told.delivery_id)
        assert found.totals.closing_paise == was.totals.closing_paise + line.paise == right[one]
        # The surge, the bonus for being in time and the tax on them are gone; its cash is not.
        assert line.paise != 0
        assert line.cash_paise == 0
        assert await city.statement(before, one) == was
    await hear(city, told, 1)
    again = await city.statement(await city.close(), party)
    assert again is not None
    assert again.lines == ()


async def test_a_correction_within_its_cycle_is_a_line_beside_what_it_corrects(city: City) -> None:
    told = await handed_over(city, told_of(city, "delivered"))
    await hear(city, told, 1)
    found = await city.statement(await city.close(), f"partner:{told.partner_id}")
    assert found is not None
    assert kinds(found) == {"delivery": 1, "correction": 1}
    assert {line.adjusts_cycle_no for line in found.lines} == {None}
    alone = told_of(city, "delivered")
    await Ledger(city.books).handle([alone.partner_event, *alone.events])
    other = await city.statement(await city.close(), f"partner:{alone.partner_id}")
    assert other is not None
    # Where both were known at once there was nothing to correct.
    assert kinds(other) == {"delivery": 1}
    assert other.totals.work_paise == found.totals.work_paise


async def test_a_delivery_may_be_corrected_again_and_then_called_off(
    city: City, owner: asyncpg.Connection, embedded_servers: EmbeddedServers
) -> None:
    told = await handed_over(city, told_of(city, "delivered", "delivered", "cancelled"))
    party, merchant = f"partner:{told.partner_id}", f"merchant:{told.merchant_id}"
    for place in (1, 2, 3):
        await city.close()
        await hear(city, told, place)
    found = await city.statement(await city.close(), party)
    assert found is not None
    assert kinds(found) == {"adjustment": 1}
    assert found.totals.closing_paise == 0
    assert set((await balances(owner, [party, merchant])).values()) == {0}
    broken = await broken_invariants(embedded_servers.dsn(), "reconciliation")
    assert not {"lines_are_their_postings", "corrections_are_of_earnings", "ledger_balances"} & set(broken)


async def test_a_correction_is_held_with_what_it_corrects(api: LedgerApi, city: City) -> None:
    told = await handed_over(city, told_of(city, "delivered", "cancelled", cash_paise=0))
    other = await handed_over(city, told_of(city, cash_paise=0, partner_id=told.partner_id))
    party = f"partner:{told.partner_id}"
    first = await city.statement(await closed(api, city), party)
    assert first is not None
    entry_id = str(next(line.entry_id for line in first.lines if line.delivery_id == told.delivery_id))
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**line_of(told, entry_id, reason="wrong parcel")))
    await hear(city, told, 1)
    cycle_no = await closed(api, city)
    found = (await city.statements(cycle_no))[party].totals
    free_paise = next(line.paise for line in first.lines if line.delivery_id == other.delivery_id)
    assert found.payable_paise == free_paise
    assert found.held_paise == found.closing_paise - free_paise > 0
    correction = pb.HoldLineRequest(**line_of(told, await first_line(city, cycle_no, told), reason="this one"))
    assert await refused(api, api.settlements.HoldLine, correction) == "HOLD_ILLEGAL_TRANSITION"
    await hear(city, told, 2)
    found = (await city.statements(await closed(api, city)))[party].totals
    assert (found.held_paise, found.payable_paise) == (0, free_paise)


async def test_what_is_corrected_to_nothing_holds_nothing_of_others(
    api: LedgerApi, city: City, owner: asyncpg.Connection
) -> None:
    told = await handed_over(city, await worthless_when_late(owner, city, cash_paise=0))
    await handed_over(city, told_of(city, cash_paise=0, partner_id=told.partner_id))
    party = f"partner:{told.partner_id}"
    entry_ids = {line.delivery_id: line.entry_id for line in await lines_of(city, await closed(api, city), party)}
    held = line_of(told, str(entry_ids[told.delivery_id]), reason="wrong parcel")
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**held))
    for place in (1, 2):
        await hear(city, told, place)
        found = (await city.statements(await closed(api, city)))[party].totals
        assert found.held_paise == 0
        assert found.payable_paise == found.closing_paise > 0


async def worthless_when_late(owner: asyncpg.Connection, city: City, **told: object) -> Told:
    """A delivery that is worth nothing once it is known to have been late, and is called off then."""
    terms, scope = replace(TERMS, late_penalty_paise=1_000_000), replace(SCOPE, city_code=city.city_code)
    since = EVENING - timedelta(days=1)
    await rate_cards.create(owner, card(terms, id=new_id(), scope=scope, version=2, effective_from=since))
    return told_of(city, "delivered", "cancelled", **told)


async def worthless_at_first(owner: asyncpg.Connection, city: City, **told: object) -> Told:
    """The same, but for what was wrong and what is right."""
    made = await worthless_when_late(owner, city, **told)
    late, in_time = made.changes[HAND_OVER + 1], made.changes[HAND_OVER]
    made.events[HAND_OVER] = made.event_of(replace(in_time, occurred_at=late.occurred_at))
    made.events[HAND_OVER + 1] = made.event_of(replace(late, occurred_at=in_time.occurred_at))
    return made


async def lines_of(city: City, cycle_no: int, party: str) -> tuple[StatementLine, ...]:
    found = await city.statement(cycle_no, party)
    assert found is not None
    return found.lines


async def test_what_is_undone_before_it_is_paid_out_is_taken_off_as_it_was_corrected(
    api: LedgerApi, city: City
) -> None:
    told = await handed_over(city, told_of(city, "delivered", "cancelled", cash_paise=0))
    await handed_over(city, told_of(city, cash_paise=0, partner_id=told.partner_id))
    await hear(city, told, 1)
    cycle_no = await closed(api, city)
    await hear(city, told, 2)
    whole = (await city.statements(cycle_no))[f"partner:{told.partner_id}"].totals.payable_paise
    batch = await paid_out(api, cycle_no)
    assert 0 < batch.amount_paise < whole
    found = (await city.statements(await closed(api, city)))[f"partner:{told.partner_id}"].totals
    assert found.closing_paise == batch.amount_paise == found.unsettled_paise


async def test_the_guarantee_counts_what_a_delivery_of_its_cycle_was_corrected_to(city: City) -> None:
    now = datetime.now(UTC)
    told = await handed_over(city, told_of(city, "delivered"))
    await hear(city, told, 1)
    since = version_of(told.partner_id, version=2, changed_at=now - timedelta(hours=4), is_online=True,
                       city_code=city.city_code)  # fmt: skip
    gone = replace(since, version=3, changed_at=now - timedelta(hours=1), is_online=False)
    await Ledger(city.books).handle([partner_event(since), partner_event(gone)])
    found = await city.statement(await city.close(), f"partner:{told.partner_id}")
    assert found is not None
    assert kinds(found) == {"delivery": 1, "correction": 1, "guarantee": 1}
    assert found.totals.work_paise == guaranteed_paise(3 * 3_600, TERMS.guarantee_paise_per_h)


async def test_the_guarantee_counts_no_correction_of_what_earned_nothing_in_an_earlier_cycle(
    city: City, owner: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    told = await worthless_at_first(owner, city)
    party = f"partner:{told.partner_id}"
    await handed_over(city, told)
    since = version_of(told.partner_id, version=2, changed_at=now - timedelta(hours=4), is_online=True,
                       city_code=city.city_code)  # fmt: skip
    await Ledger(city.books).handle([partner_event(since)])
    await city.close()
    for place, kind in ((1, "correction"), (2, "adjustment")):
        await hear(city, told, place)
        lines = await lines_of(city, await city.close(), party)
        assert Counter(line.kind for line in lines) == {kind: 1, "guarantee": 1}
        (guaranteed,) = (line for line in lines if line.kind == "guarantee")
        top_up = await owner.fetchrow(
            "SELECT on_duty_s, earned_paise FROM reconciliation.settlement_top_ups WHERE entry_id = $1",
            guaranteed.entry_id,
        )
        assert top_up["earned_paise"] == 0
        assert guaranteed.paise == guaranteed_paise(top_up["on_duty_s"], TERMS.guarantee_paise_per_h)


async def test_a_correction_is_explained_as_the_whole_less_what_was_booked_before(api: LedgerApi, city: City) -> None:
    # The bonus for being in time is lost first; then there is a penalty.
    told = await handed_over(city, told_of(city, "delivered", "delivered", by=timedelta(minutes=12)))
    await closed(api, city)
    for place in (1, 2):
        await hear(city, told, place)
        cycle_no = await closed(api, city)
        request = pb.ExplainSettlementLineRequest(**line_of(told, await first_line(city, cycle_no, told)))
        found = await api.ask(api.settlements.ExplainSettlementLine, request)
        assert found.agrees
        assert found.explanation.agrees
        by_kind = {line.kind: line.amount_paise for line in found.explanation.lines}
        earned = sum(paise for kind, paise in by_kind.items() if kind in EARNED)
        before = {
            p.purpose: p.amount_paise for p in found.explanation.booked_before if p.account.startswith("partner:")
        }
        assert found.line.work_paise + found.line.tax_paise == earned - by_kind["tds"] + before["earnings"]
        assert told.events[5 + place].message.id in found.event_ids
    entries = ledger_pb2.GetDeliveryEntriesRequest(delivery_id=str(told.delivery_id))
    booked = (await api.ask(api.ledger.GetDeliveryEntries, entries)).entries
    assert [one.corrects_entry_id for one in booked] == ["", booked[0].id, booked[0].id]
    assert {one.delivery_id for one in booked} == {str(told.delivery_id)}
    assert all(one.explanation.agrees for one in booked)
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(told.merchant_id))
    seen = (await api.ask(api.ledger.GetDeliveryEntries, entries, merchant)).entries
    assert [one.id for one in seen] == [one.id for one in booked]
    assert {posting.account for one in seen for posting in one.postings} == {f"merchant:{told.merchant_id}"}


@pytest.mark.parametrize("seed", range(3))
async def test_any_interleaving_of_corrections_sums_to_the_ledger(
    city: City, owner: asyncpg.Connection, embedded_servers: EmbeddedServers, seed: int
) -> None:
    chance = random.Random(seed)
    endings = ((), ("delivered",), ("delivered", "delivered"), ("delivered", "cancelled"))
    told = [told_of(city, *chance.choice(endings)) for _ in range(6)]
    await Ledger(city.books).handle([one.partner_event for one in told])
    events = [event for one in told for event in one.events]
    events += chance.sample(events, 12)
    chance.shuffle(events)
    cycle_no = 0
    while events:
        size = chance.randint(1, 20)
        await Ledger(city.books).handle(events[:size])
        events = events[size:]
        cycle_no = await city.close()
    parties = [party for one in told for party in (f"partner:{one.partner_id}", f"merchant:{one.merchant_id}")]
    wanted = {party: paise for party, paise in (await balances(owner, parties)).items() if paise}
    last = {party: found.totals.closing_paise for party, found in (await city.statements(cycle_no)).items()}
    assert {party: paise for party, paise in last.items() if paise} == wanted
    in_order = [told_of(city, *(change.state for change in one.changes[HAND_OVER + 1 :])) for one in told]
    for one, again in zip(told, in_order, strict=True):
        await Ledger(city.books).handle([again.partner_event, *again.events])
        pairs = [(f"partner:{told_.partner_id}", f"merchant:{told_.merchant_id}") for told_ in (one, again)]
        found, right = [await balances(owner, pair) for pair in pairs]
        assert sorted(filter(None, found.values())) == sorted(filter(None, right.values()))
    broken = await broken_invariants(embedded_servers.dsn(), "reconciliation")
    assert not {"lines_are_their_postings", "corrections_are_of_earnings", "ledger_balances"} & set(broken)


async def test_invoices_say_what_was_corrected(city: City, owner: asyncpg.Connection) -> None:
    told = await handed_over(city, told_of(city, "delivered", cash_paise=0))
    await hear(city, told, 1)
    account, now = f"merchant:{told.merchant_id}", datetime.now(UTC)
    span = (now - timedelta(hours=1), now + timedelta(hours=1))
    found = {one.kind: one for one in await papers.fees(owner, account, *span, [city.city_code])}
    assert set(found) == {"earnings", "correction"}
    assert found["correction"].fee_paise < 0
    (owed,) = (await balances(owner, [account])).values()
    assert sum(one.fee_paise + one.gst_paise for one in found.values()) == -owed

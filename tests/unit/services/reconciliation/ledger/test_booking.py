"""Any interleaving of events, duplicates and late arrivals leaves the ledger at zero and each delivery paid once."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.ledger.booking import Booked, Correct, Pay, Undo, Wait, WaitsFor, decide
from services.reconciliation.ledger.facts import Change, PartnerVersion, Trip
from services.reconciliation.ledger.postings import Posting, netted
from services.reconciliation.ledger.rates import RateCard, Scope, in_force
from tests.ledger import EVENING, NAMES, PARTNER, SCOPE, STORY, TERMS, card, changes_of, version_of

CANCELLED_LATE = (*STORY, "cancelled")
CANCELLED_EARLY = ("pending", "cancelled")
# Its hand-over was late by minutes, and in no surge: that is known last.
CORRECTED = (*STORY, "delivered")
CORRECTED_AND_CANCELLED = (*CORRECTED, "delivered", "cancelled")
RETURNED = (*STORY[:5], "attempt_failed", "returning", "returned")
ENDINGS = {"paid": STORY, "cancelled late": CANCELLED_LATE, "cancelled early": CANCELLED_EARLY, "returned": RETURNED}
ENDINGS |= {"corrected": CORRECTED, "corrected and cancelled": CORRECTED_AND_CANCELLED}
Event = Change | PartnerVersion | RateCard


class Ledger:
    """A ledger in memory that is asked to book after every event, as the consumer does."""

    def __init__(self) -> None:
        self.changes: dict[UUID, dict[int, Change]] = {}
        self.versions: dict[UUID, dict[int, PartnerVersion]] = {}
        self.cards: list[RateCard] = []
        self.booked: dict[UUID, Booked] = {}
        self.entries: list[tuple[Posting, ...]] = []
        self.causes = Counter[tuple[type, UUID]]()

    def take(self, event: Event) -> None:
        if isinstance(event, Change):
            self.changes.setdefault(event.delivery_id, {})[event.sequence] = event
        elif isinstance(event, PartnerVersion):
            self.versions.setdefault(event.partner_id, {})[event.version] = event
        elif event not in self.cards:
            self.cards.append(event)
        for delivery_id in self.changes:
            self.book(delivery_id)

    def book(self, delivery_id: UUID) -> None:
        changes = list(self.changes[delivery_id].values())
        versions = list(self.versions.get(PARTNER, {}).values())
        decision = decide(changes, versions, self._card_of, self.booked.get(delivery_id))
        if isinstance(decision, Pay):
            self.booked[delivery_id] = Booked(
                uuid5(NAMES, f"entry {delivery_id}"),
                decision.postings,
                frozenset(decision.event_ids),
                decision.partner.version,
                is_reversed=False,
            )
        elif isinstance(decision, Correct):
            known = self.booked[delivery_id]
            self.booked[delivery_id] = replace(
                known,
                postings=netted((*known.postings, *decision.postings)),
                event_ids=known.event_ids | set(decision.right.event_ids),
            )
        elif isinstance(decision, Undo):
            self.booked[delivery_id] = replace(self.booked[delivery_id], is_reversed=True)
        if isinstance(decision, Pay | Correct | Undo):
            self.entries.append(decision.postings)
            self.causes[type(decision), decision.cause_event_id] += 1

    def _card_of(self, scope: Scope, trip: Trip) -> RateCard | None:
        return in_force(self.cards, scope, trip.priced_at)

    def balances(self) -> dict[str, int]:
        found = Counter[str]()
        for entry in self.entries:
            for posting in entry:
                found[str(posting.account)] += posting.paise
        return {account: paise for account, paise in found.items() if paise}


def corrected(changes: list[Change]) -> list[Change]:
    """Changes whose further hand-overs were each a quarter of an hour after the one before."""
    handed_over = [change for change in changes if change.state == "delivered"]
    late = {change: timedelta(minutes=15 * place) for place, change in enumerate(handed_over)}
    return [replace(change, occurred_at=change.occurred_at + late.get(change, timedelta())) for change in changes]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[Event]]:
    """Some deliveries by how they end, and all their events in any order, some of them twice or more."""
    endings = draw(st.lists(st.sampled_from(sorted(ENDINGS)), min_size=1, max_size=4))
    events: list[Event] = [version_of(), card()]
    for number, ending in enumerate(endings):
        events += corrected(changes_of(ENDINGS[ending], uuid5(NAMES, f"delivery {number}")))
    again = draw(st.lists(st.sampled_from(events), max_size=10))
    return endings, draw(st.permutations([*events, *again]))


@given(histories())
def test_any_interleaving_leaves_zero_and_each_delivery_paid_once(history: tuple[list[str], list[Event]]) -> None:
    endings, events = history
    ledger, in_order = Ledger(), Ledger()
    for event in events:
        ledger.take(event)
        assert sum(ledger.balances().values()) == 0
    for event in sorted(set(events), key=lambda event: getattr(event, "sequence", 0)):
        in_order.take(event)
    assert ledger.balances() == in_order.balances()
    assert set(ledger.causes.values()) <= {1}
    paid = [booked for booked in ledger.booked.values() if not booked.is_reversed]
    assert len(paid) == endings.count("paid") + endings.count("corrected")


def test_a_late_cancellation_undoes_the_pay_once_however_often_it_comes() -> None:
    ledger = Ledger()
    for event in (version_of(), card(), *changes_of()):
        ledger.take(event)
    assert len(ledger.entries) == 1
    cancelled = changes_of(CANCELLED_LATE)[-1]
    for _ in range(3):
        ledger.take(cancelled)
    assert len(ledger.entries) == 2
    assert ledger.balances() == {}


def test_a_corrected_hand_over_changes_the_pay_by_the_difference_once_however_often_it_comes() -> None:
    changes = corrected(changes_of(CORRECTED))
    ledger, right = Ledger(), Ledger()
    for event in (version_of(), card(), *changes[:-1]):
        ledger.take(event)
    before = ledger.balances()
    for _ in range(3):
        ledger.take(changes[-1])
    assert len(ledger.entries) == 2
    for event in (version_of(), card(), *changes):
        right.take(event)
    assert ledger.balances() == right.balances() != before


def test_a_corrected_hand_over_moves_no_pay_to_another_payee() -> None:
    changes = corrected(changes_of(CORRECTED))
    ledger = Ledger()
    for event in (version_of(), card(), *changes[:-1]):
        ledger.take(event)
    ledger.take(version_of(version=2, network_code="net-1", changed_at=EVENING + timedelta(minutes=1)))
    ledger.take(changes[-1])
    assert len(ledger.entries) == 2
    assert not [account for account in ledger.balances() if account.startswith("network:")]


def test_a_correction_that_changes_no_amount_is_an_entry_without_postings() -> None:
    ledger = Ledger()
    for event in (version_of(), card(), *changes_of(CORRECTED)):
        ledger.take(event)
    assert [len(postings) for postings in ledger.entries[1:]] == [0]


def test_a_corrected_hand_over_is_priced_by_the_versions_of_its_first_time() -> None:
    changes = corrected(changes_of(CORRECTED))
    later = EVENING + timedelta(minutes=5)
    dearer = card(replace(TERMS, base_paise=9_999), id=uuid5(NAMES, "dearer"), version=2, effective_from=later)
    moved = version_of(version=2, network_code="net-1", changed_at=later)
    in_order, at_once = Ledger(), Ledger()
    for event in (version_of(), card(), *changes[:-1], dearer, moved, changes[-1]):
        in_order.take(event)
    for event in (version_of(), card(), dearer, moved, changes[-1], *changes[:-1]):
        at_once.take(event)
    assert (len(in_order.entries), len(at_once.entries)) == (2, 1)
    assert in_order.balances() == at_once.balances()


def test_a_cancellation_undoes_what_was_corrected_too() -> None:
    ledger = Ledger()
    for event in (version_of(), card(), *corrected(changes_of(CORRECTED_AND_CANCELLED))):
        ledger.take(event)
    assert len(ledger.entries) == 4
    assert ledger.balances() == {}


def test_what_cannot_be_paid_yet_says_what_it_waits_for() -> None:
    changes = changes_of()
    assert decide(changes, [], lambda *_: card(), None) == Wait(WaitsFor.PARTNER)
    assert decide(changes, [version_of()], lambda *_: None, None) == Wait(WaitsFor.RATE_CARD)
    nobody = [replace(change, partner_id=None) for change in changes]
    assert decide(nobody, [version_of()], lambda *_: card(), None) == Wait(WaitsFor.STORY)


def test_nothing_is_concluded_from_a_story_with_a_hole_in_it() -> None:
    changes = changes_of()
    for place in range(len(changes) - 1):
        known = changes[:place] + changes[place + 1 :]
        assert decide(known, [version_of()], lambda *_: card(), None) == Wait(WaitsFor.EVENTS)
    assert decide(changes[:-1], [version_of()], lambda *_: card(), None) is None


def test_pay_goes_by_the_vehicle_and_network_that_the_partner_had_at_the_hand_over() -> None:
    asked: list[Scope] = []
    versions = [version_of(), version_of(version=2, vehicle="van", changed_at=EVENING + timedelta(hours=1))]

    def card_of(scope: Scope, trip: Trip) -> RateCard:
        asked.append(scope)
        return card()

    decision = decide(changes_of(), versions, card_of, None)
    assert isinstance(decision, Pay)
    assert asked == [SCOPE]
    assert decision.event_ids[-1] == versions[0].event_id
    assert decision.cause_event_id == changes_of()[-1].event_id

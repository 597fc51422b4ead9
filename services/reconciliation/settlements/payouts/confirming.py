"""Takes a bank's word for what became of payouts: each is settled once, however often the file comes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.reconciliation.errors import StatementConfirmsNothingError, StatementNotFoundError
from services.reconciliation.ledger.postings import Account
from services.reconciliation.settlements import store
from services.reconciliation.settlements.booking import Booking, cause_of, merchant_of, paid_postings, partner_of
from services.reconciliation.settlements.lifecycle import PayoutState
from services.reconciliation.settlements.payouts import store as payouts
from services.reconciliation.settlements.payouts.outcomes import Known, Outcome, judge, transition
from services.reconciliation.settlements.payouts.store import NamedPayout, Said, Settled
from services.reconciliation.settlements.statement import LineKind

_SETTLING = {Outcome.PAID: PayoutState.PAID, Outcome.RETURNED: PayoutState.RETURNED}
_GOOD = frozenset({*_SETTLING, Outcome.SAME})


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that settles nothing, and why."""

    line: int
    reference: str
    outcome: Outcome
    paise: int


@dataclass(slots=True)
class Confirmed:
    """What a statement said of payouts: how many lines of each outcome, their paise, and the first that say nothing."""

    lines: Counter[Outcome] = field(default_factory=Counter)
    paise: Counter[Outcome] = field(default_factory=Counter)
    problems_max: int = 0
    problems: list[Problem] = field(default_factory=list)

    def note(self, one: Said, outcome: Outcome) -> None:
        """Count a line."""
        self.lines[outcome] += 1
        self.paise[outcome] += one.paise
        if outcome not in _GOOD and len(self.problems) < self.problems_max:
            self.problems.append(Problem(one.line, one.reference, outcome, one.paise))


async def confirm(
    connection: asyncpg.Connection, statement_id: UUID, now: datetime, rows_max: int, problems_max: int
) -> Confirmed:
    """Settle the payouts that a statement names, within the caller's transaction, `rows_max` lines in memory at a time.

    Raises StatementNotFoundError, and StatementConfirmsNothingError when its source's mapping does not say that it
    confirms payouts.
    """
    confirms = await payouts.confirms(connection, statement_id)
    if confirms is None:
        raise StatementNotFoundError(f"there is no statement {statement_id}")
    if not confirms:
        raise StatementConfirmsNothingError("its source's mapping does not say that it confirms payouts")
    # Two files that name the same payout are taken one after the other.
    await store.lock(connection)
    found, line = Confirmed(problems_max=problems_max), 0
    while said := await payouts.said(connection, statement_id, line, rows_max):
        await _settle(connection, statement_id, said, found, now)
        line = said[-1].line
    return found


async def _settle(
    connection: asyncpg.Connection, statement_id: UUID, said: Sequence[Said], found: Confirmed, now: datetime
) -> None:
    """Settle what some lines say. One that names the same payout as an earlier one knows what that has made of it."""
    known = {one.reference: _known(one.named) for one in reversed(said) if one.named}
    settled: list[Settled] = []
    bookings: list[Booking] = []
    for one in said:
        payout = known.get(one.reference)
        outcome = judge(one.leg, one.paise, payout)
        found.note(one, outcome)
        then = _SETTLING.get(outcome)
        row = transition(payout.state, then) if payout and then else None
        if one.named is None or payout is None or row is None:
            continue
        booking = _booking(one, one.named, row.books) if row.books else None
        bookings += [booking] if booking else []
        entry_id = booking.id if booking else None
        settled.append(Settled(one.named.batch_no, one.named.sequence, row.to_state, entry_id, one.line))
        was_paid = payout.was_paid or row.to_state is PayoutState.PAID
        known[one.reference] = Known(payout.paise, row.to_state, was_paid)
    await store.book(connection, bookings, now)
    # One that was paid and came back in the same file is first the one, then the other.
    # What came back does so after its entry was made: which cycle has that is asked by the one, and by the other.
    settled_at = datetime.now(UTC)
    for state in _SETTLING.values():
        await payouts.settle(connection, statement_id, [one for one in settled if one.state is state], settled_at)


def _known(named: NamedPayout) -> Known:
    return Known(named.paise, named.state, named.was_paid)


def _booking(one: Said, named: NamedPayout, kind: str) -> Booking:
    party, cause = Account.parse(named.party), cause_of(kind, one.reference)
    paise = one.paise if kind == LineKind.PAYOUT else -one.paise
    return Booking(
        new_id(), kind, cause, (cause,), named.calendar, one.paid_at, paid_postings(party, paise),
        partner_id=partner_of(party), merchant_id=merchant_of(party),
    )  # fmt: skip

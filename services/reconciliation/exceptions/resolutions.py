"""What can be decided about a case, what that is worth in accounts, and which cases may be decided on together. Pure.

What statements say was paid is booked when a run has settled the line: the payee's account, or that of the cash in its
hands, then carries what is too much or too little into the next cycle. So there is nothing to be booked for what is to
be taken back or paid. A line that no run has settled was never booked: the desk does it when it settles it.

| resolution | of | debits and credits |
|---|---|---|
| match | several that together agree | each open line as a payment; a rest beyond the tolerance as a write-off |
| write_off | a payout, too much; too little | write_offs, payee; payee, write_offs |
| | cash, too little handed in; too much | write_offs, cash in hand; cash in hand, write_offs |
| | an open line of a payout; of cash | write_offs, bank; bank, write_offs |
| recover | a payout, too much; cash, too little | an open line as a payment |
| pay | a payout, too little; cash, too much | an open line as a payment |
| adjust | what was undone after it was paid | none: the ledger has undone it |
| | what was undone after it was written off | a payout: write_offs, payee; cash: cash in hand, write_offs |
| dismiss | any | none: there is nothing to it, and an open line is no payment of the company's |

A payment of an open line is: payee, bank; of cash: bank, cash in hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from libs.money.amount import total
from services.reconciliation.exceptions.case import Case
from services.reconciliation.ledger.postings import (
    BANK,
    WRITE_OFFS,
    Account,
    AccountKind,
    Posting,
    UnknownAccountError,
    balanced,
    cash,
)

UNDONE = frozenset({"cancelled_after_export", "late_adjustment"})
_ALONE = UNDONE | {"wrong_partner"}


class ResolutionKind(StrEnum):
    """What is decided."""

    MATCH = "match"
    WRITE_OFF = "write_off"
    RECOVER = "recover"
    PAY = "pay"
    ADJUST = "adjust"
    DISMISS = "dismiss"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a resolution is for: the signs of the rest of a payout and of cash, 0 for either; and of what classes.

    `is_checked`: money is given up or taken back by it, so that above the limit two decide.
    """

    payout_sign: int | None
    cash_sign: int | None
    is_checked: bool
    of_undone: bool | None = None


@dataclass(frozen=True, slots=True)
class Worth:
    """What a resolution posts, and in whose cycles that is to be."""

    postings: tuple[Posting, ...]
    # A city with cycles of its own, or empty for all others.
    calendar: str


RULES = {
    ResolutionKind.WRITE_OFF: Rule(0, 0, is_checked=True),
    ResolutionKind.RECOVER: Rule(1, -1, is_checked=True, of_undone=False),
    ResolutionKind.PAY: Rule(-1, 1, is_checked=True),
    ResolutionKind.ADJUST: Rule(1, 0, is_checked=False, of_undone=True),
    ResolutionKind.DISMISS: Rule(0, 0, is_checked=True),
}


def refusal_of(kind: ResolutionKind, case: Case) -> str:
    """Return why a case cannot be resolved so by itself; empty when it can."""
    if kind is ResolutionKind.MATCH:
        return "one case alone matches nothing"
    if case.written_off_paise and kind is not ResolutionKind.ADJUST:
        return f"adjust it: {case.written_off_paise} paise that were given up of it are to be booked back"
    rule, rest = RULES[kind], case.rest_paise or case.written_off_paise
    wanted = rule.payout_sign if case.leg == "payout" else rule.cash_sign
    if rule.of_undone is not None and rule.of_undone != (case.kind in UNDONE):
        return f"{kind} is not for {case.kind}"
    if wanted and (rest > 0) != (wanted > 0):
        return f"{kind} is not for {abs(rest)} paise of {case.leg} that are {'too many' if rest > 0 else 'too few'}"
    if kind is ResolutionKind.PAY and case.is_open_leg:
        return "its payment is awaited: the run that finds it settles it"
    return _payee_refusal(case) if postings_of_case(kind, case) is None else ""


def together_refusal(cases: Sequence[Case], tolerance_paise: int, *, write_off_rest: bool) -> str:
    """Return why cases do not belong together; empty when they do: the same payee and leg, and sums that agree."""
    if len(cases) < 2:
        return "one case alone matches nothing"
    if all(case.line is None for case in cases):
        return "none of them is a line: nothing was paid that could be what is owed"
    if alone := sorted({case.kind for case in cases} & _ALONE):
        return f"{', '.join(alone)} cannot be settled together with others"
    if len({(case.payee, case.leg) for case in cases}) > 1:
        return "they are of several payees, or of payouts and cash"
    rest = rest_of(cases)
    if abs(rest) > tolerance_paise and not write_off_rest:
        return f"their sums differ by {rest} paise, more than {tolerance_paise}"
    return _payee_refusal(cases[0]) if _account_of(cases[0]) is None else ""


def rest_of(cases: Sequence[Case]) -> int:
    """Return by how much more was paid for cases together than should have been."""
    return total(case.rest_paise for case in cases)


def amount_of(kind: ResolutionKind, cases: Sequence[Case], tolerance_paise: int) -> int:
    """Return what is at stake: what each is about, or of cases that match the rest beyond the tolerance."""
    if kind is ResolutionKind.MATCH:
        rest = abs(rest_of(cases))
        return rest if rest > tolerance_paise else 0
    return total(abs(case.rest_paise) + case.written_off_paise for case in cases)


def gives_up(kind: ResolutionKind, amount_paise: int) -> bool:
    """Whether something is written off, of what is at stake."""
    return kind in (ResolutionKind.WRITE_OFF, ResolutionKind.MATCH) and amount_paise > 0


def is_checked(kind: ResolutionKind, cases: Sequence[Case]) -> bool:
    """Whether money is given up or taken back by it, or what was given up is given back."""
    return kind is ResolutionKind.MATCH or RULES[kind].is_checked or any(case.written_off_paise for case in cases)


def postings_of(kind: ResolutionKind, cases: Sequence[Case], tolerance_paise: int) -> tuple[Posting, ...]:
    """Return what a resolution of cases that were not refused posts, in the order of the cases; they sum to zero."""
    if kind is ResolutionKind.MATCH:
        paid = [posting for case in cases for posting in _payment(case) or ()]
        amount = amount_of(kind, cases, tolerance_paise)
        rest = _written_off(cases[0], rest_of(cases), is_booked=True) if amount else ()
        return balanced(*paid, *(rest or ()))
    return balanced(*(posting for case in cases for posting in postings_of_case(kind, case) or ()))


def postings_of_case(kind: ResolutionKind, case: Case) -> tuple[Posting, ...] | None:
    """Return what the resolution of one case posts; None when its payee is none that the ledger could post to."""
    match kind:
        case ResolutionKind.WRITE_OFF:
            return _written_off(case, case.rest_paise, is_booked=not case.is_open_line)
        case ResolutionKind.RECOVER | ResolutionKind.PAY:
            return _payment(case)
        case ResolutionKind.ADJUST if case.written_off_paise:
            # Undone too, or the payee would owe what it never got.
            return _written_off(case, case.written_off_paise, is_booked=True)
    return ()


def calendars_of(postings: Sequence[Posting], cities: Mapping[UUID, str], own_cities: Sequence[str]) -> set[str]:
    """Return in whose cycles some postings are to be: those of cities that have their own, or empty for all others.

    `cities` says where partners work. Postings that are no party's own are in nobody's.
    """
    cities_of = [cities.get(partner_id, "") for partner_id in partners_of(postings)]
    # Networks work in many.
    cities_of += [""] * any(posting.account.kind is AccountKind.NETWORK for posting in postings)
    return {city if city in own_cities else "" for city in cities_of}


def partners_of(postings: Sequence[Posting]) -> list[UUID]:
    """Return the partners whose accounts are posted to, of what they are owed and of cash, in order."""
    kinds = (AccountKind.PARTNER, AccountKind.CASH)
    return sorted({UUID(posting.account.owner) for posting in postings if posting.account.kind in kinds})


def _payment(case: Case) -> tuple[Posting, ...] | None:
    """Return the payment that an open line is; of what runs have settled, nothing."""
    if not case.is_open_line:
        return ()
    account = _account_of(case)
    sides = (account, BANK) if case.leg == "payout" else (BANK, account)
    return _posted(sides, "payment", case.paid_paise)


def _written_off(case: Case, rest: int, *, is_booked: bool) -> tuple[Posting, ...] | None:
    account = _account_of(case) if is_booked else BANK
    # Too much of a payout is lost, and so is too little of cash.
    is_lost = (rest > 0) == (case.leg == "payout")
    return _posted((WRITE_OFFS, account) if is_lost else (account, WRITE_OFFS), "write_off", abs(rest))


def _posted(sides: tuple[Account | None, Account | None], purpose: str, paise: int) -> tuple[Posting, ...] | None:
    debit, credit = sides
    if debit is None or credit is None:
        return None
    return (Posting(debit, purpose, paise), Posting(credit, purpose, -paise)) if paise else ()


def _account_of(case: Case) -> Account | None:
    """Return the account that carries what is too much or too little; None where there can be none."""
    try:
        payee = Account.parse(case.payee)
        if case.leg == "cash":
            return cash(UUID(payee.owner)) if payee.kind is AccountKind.PARTNER else None
    except (UnknownAccountError, ValueError):
        return None
    return payee if payee.kind in (AccountKind.PARTNER, AccountKind.NETWORK) else None


def _payee_refusal(case: Case) -> str:
    return f"{case.payee!r:.100} is no payee of the ledger"

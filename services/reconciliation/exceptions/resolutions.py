"""What can be decided about a case, what that is worth in accounts, and which cases may be decided on together. Pure.

| resolution | of | debits and credits |
|---|---|---|
| match | several that together agree | a rest beyond the tolerance is written off |
| write_off | a payout, too much | write_offs, bank |
| | a payout, too little | payee, write_offs |
| | a payout that was undone after it was paid | write_offs, payee |
| | cash, too little handed in | write_offs, cash in hand |
| | cash, too much handed in | bank, write_offs |
| recover | a payout, too much | payee, bank |
| | cash, too little handed in | payee, cash in hand |
| pay | a payout, too little | none: the ledger owes it still |
| | cash, too much handed in | bank, payee |
| adjust | what was undone after it was paid | none: the ledger has undone it, the next cycle takes it back |
| dismiss | any | none: there is nothing to it |
"""

from collections.abc import Sequence
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
    rule, rest = RULES[kind], case.rest_paise
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
    if alone := sorted({case.kind for case in cases} & _ALONE):
        return f"{', '.join(alone)} cannot be settled together with others"
    if len({(case.payee, case.leg) for case in cases}) > 1:
        return "they are of several payees, or of payouts and cash"
    rest = rest_of(cases)
    if abs(rest) <= tolerance_paise:
        return ""
    if not write_off_rest:
        return f"their sums differ by {rest} paise, more than {tolerance_paise}"
    return _payee_refusal(cases[0]) if _posted(ResolutionKind.WRITE_OFF, cases[0], rest) is None else ""


def rest_of(cases: Sequence[Case]) -> int:
    """Return by how much more was paid for cases together than should have been."""
    return total(case.rest_paise for case in cases)


def amount_of(kind: ResolutionKind, cases: Sequence[Case], tolerance_paise: int) -> int:
    """Return what is at stake: what each is about, or of cases that match the rest beyond the tolerance."""
    if kind is ResolutionKind.MATCH:
        rest = abs(rest_of(cases))
        return rest if rest > tolerance_paise else 0
    return total(abs(case.rest_paise) for case in cases)


def is_checked(kind: ResolutionKind) -> bool:
    """Whether money is given up or taken back by it."""
    return kind is ResolutionKind.MATCH or RULES[kind].is_checked


def postings_of(kind: ResolutionKind, cases: Sequence[Case], tolerance_paise: int) -> tuple[Posting, ...]:
    """Return what a resolution of cases that were not refused posts, in the order of the cases; they sum to zero."""
    if kind is ResolutionKind.MATCH:
        if not amount_of(kind, cases, tolerance_paise):
            return ()
        return balanced(*(_posted(ResolutionKind.WRITE_OFF, cases[0], rest_of(cases)) or ()))
    return balanced(*(posting for case in cases for posting in postings_of_case(kind, case) or ()))


def postings_of_case(kind: ResolutionKind, case: Case) -> tuple[Posting, ...] | None:
    """Return what the resolution of one case posts; None when its payee is none that the ledger could post to."""
    return _posted(kind, case, case.rest_paise)


def _posted(kind: ResolutionKind, case: Case, rest: int) -> tuple[Posting, ...] | None:
    payee, in_hand = _accounts(case)
    is_payout, is_over, amount = case.leg == "payout", rest > 0, abs(rest)
    sides: tuple[Account | None, Account | None] | None = None
    match kind:
        case ResolutionKind.WRITE_OFF if is_payout and case.kind in UNDONE:
            sides = (WRITE_OFFS, payee)
        case ResolutionKind.WRITE_OFF if is_payout:
            sides = (WRITE_OFFS, BANK) if is_over else (payee, WRITE_OFFS)
        case ResolutionKind.WRITE_OFF:
            sides = (BANK, WRITE_OFFS) if is_over else (WRITE_OFFS, in_hand)
        case ResolutionKind.RECOVER:
            sides = (payee, BANK) if is_payout else (payee, in_hand)
        case ResolutionKind.PAY if not is_payout:
            sides = (BANK, payee)
    if sides is None or not amount:
        return ()
    debit, credit = sides
    if debit is None or credit is None:
        return None
    purpose = {ResolutionKind.RECOVER: "recovery", ResolutionKind.PAY: "repayment"}.get(kind, "write_off")
    return Posting(debit, purpose, amount), Posting(credit, purpose, -amount)


def _accounts(case: Case) -> tuple[Account | None, Account | None]:
    """The payee's account, and that of the cash in its hands; None where there can be none."""
    try:
        payee = Account.parse(case.payee)
        in_hand = cash(UUID(payee.owner)) if payee.kind is AccountKind.PARTNER else None
    except (UnknownAccountError, ValueError):
        return None, None
    return (payee if payee.kind in (AccountKind.PARTNER, AccountKind.NETWORK) else None), in_hand


def _payee_refusal(case: Case) -> str:
    return f"{case.payee!r:.100} is no payee of the ledger"

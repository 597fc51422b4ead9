"""Double entry: accounts, and the postings of each kind of entry. The postings of an entry sum to zero.

A positive amount is a debit: owed to the company, held by it, or spent. A negative one is a credit: owed by it, or its
income.

| account | its balance |
|---|---|
| partner:<id> | what the company owes a partner, negative |
| network:<code> | what it owes a partner network for the partners it lends, negative |
| merchant:<id> | fees and tax that a merchant owes, less the cash that was collected for it |
| cash:<partner id> | cash of the company's in a partner's hands |
| tax:gst, tax:tds | tax that is owed to the government, negative |
| platform:fees, platform:earnings, platform:bank | income, negative; what partners earned; money in the bank |
| platform:write_offs | what was given up, less what others gave up |
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from libs.money.amount import fits, total
from services.reconciliation.ledger.earnings import Earnings, LineKind
from services.reconciliation.ledger.facts import Trip

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class AccountKind(StrEnum):
    """Whose money an account counts."""

    PARTNER = "partner"
    MERCHANT = "merchant"
    NETWORK = "network"
    CASH = "cash"
    TAX = "tax"
    PLATFORM = "platform"


class UnknownAccountError(ValueError):
    """The text names no account."""


class UnbalancedError(ValueError):
    """The postings of an entry do not sum to zero: a bug, which the database would refuse too."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An account, spelt kind:owner."""

    kind: AccountKind
    owner: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner}"

    @classmethod
    def parse(cls, text: str) -> "Account":
        """Return the account that `text` spells; UnknownAccountError for none."""
        kind, _, owner = text.partition(":")
        if kind not in frozenset(AccountKind) or not _OWNER.fullmatch(owner):
            raise UnknownAccountError(f"{text!r:.100} is no account: it is spelt kind:owner")
        return cls(AccountKind(kind), owner)


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount on an account, and what it is for."""

    account: Account
    purpose: str
    paise: int


FEES, EARNINGS, BANK = (Account(AccountKind.PLATFORM, owner) for owner in ("fees", "earnings", "bank"))
WRITE_OFFS = Account(AccountKind.PLATFORM, "write_offs")
GST, TDS = (Account(AccountKind.TAX, owner) for owner in ("gst", "tds"))


def partner(partner_id: UUID) -> Account:
    """Return the account of what a partner is owed."""
    return Account(AccountKind.PARTNER, str(partner_id))


def cash(partner_id: UUID) -> Account:
    """Return the account of the cash in a partner's hands."""
    return Account(AccountKind.CASH, str(partner_id))


def merchant(merchant_id: UUID) -> Account:
    """Return a merchant's account."""
    return Account(AccountKind.MERCHANT, str(merchant_id))


def payee(partner_id: UUID, network_code: str) -> Account:
    """Return who is paid for a partner's work: the network that lends it, or itself."""
    return Account(AccountKind.NETWORK, network_code) if network_code else partner(partner_id)


def delivery_postings(trip: Trip, network_code: str, earnings: Earnings) -> tuple[Posting, ...]:
    """Return the postings of a delivery that was handed over."""
    earned, tds = earnings.earned_paise, earnings.of(LineKind.TDS)
    fee, gst = earnings.of(LineKind.MERCHANT_FEE), earnings.of(LineKind.GST)
    collected = earnings.of(LineKind.CASH_COLLECTED)
    sender = merchant(trip.merchant_id)
    return balanced(
        Posting(EARNINGS, "earnings", earned),
        Posting(payee(trip.partner_id, network_code), "earnings", tds - earned),
        Posting(TDS, "tds", -tds),
        Posting(sender, "fee", fee),
        Posting(FEES, "fee", -fee),
        Posting(sender, "gst", gst),
        Posting(GST, "gst", -gst),
        Posting(cash(trip.partner_id), "cash_collected", collected),
        Posting(sender, "cash_collected", -collected),
    )


def remittance_postings(partner_id: UUID, paise: int) -> tuple[Posting, ...]:
    """Return the postings of cash that a partner hands in."""
    return balanced(Posting(BANK, "cash_remitted", paise), Posting(cash(partner_id), "cash_remitted", -paise))


def top_up_postings(partner_id: UUID, network_code: str, paise: int) -> tuple[Posting, ...]:
    """Return the postings of what the hourly guarantee adds to a partner's earnings."""
    return balanced(
        Posting(EARNINGS, "guarantee", paise), Posting(payee(partner_id, network_code), "guarantee", -paise)
    )


def reversed_postings(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """Return the postings that undo others."""
    return balanced(*(Posting(p.account, p.purpose, -p.paise) for p in postings))


def netted(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """Return what postings come to, one of each account and purpose."""
    sums: dict[tuple[Account, str], int] = {}
    for posting in postings:
        key = posting.account, posting.purpose
        sums[key] = sums.get(key, 0) + posting.paise
    return balanced(*(Posting(account, purpose, paise) for (account, purpose), paise in sums.items()))


def corrected_postings(booked: Iterable[Posting], right: Iterable[Posting]) -> tuple[Posting, ...]:
    """Return the postings that make what is booked what is right."""
    return netted((*right, *reversed_postings(booked)))


def balanced(*postings: Posting) -> tuple[Posting, ...]:
    """Return the postings that are not of nothing; UnbalancedError unless they sum to zero."""
    if rest := total(fits(posting.paise) for posting in postings):
        raise UnbalancedError(f"the postings of an entry sum to {rest} paise")
    return tuple(posting for posting in postings if posting.paise)

"""What settling books in the ledger: entries of no delivery, each for a cause that is booked once. Pure."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from uuid import UUID

from libs.ids import floor_at
from services.reconciliation.ledger.postings import BANK, Account, AccountKind, Posting, balanced, remittance_postings

# What postings of money that leaves or comes back are called.
PAID, CASH_REMITTED = "paid", "cash_remitted"


@dataclass(frozen=True, slots=True)
class Booking:
    """An entry that names no delivery. `calendar` says in whose cycles it is to be."""

    id: UUID
    kind: str
    cause_id: UUID
    event_ids: tuple[UUID, ...]
    calendar: str
    occurred_at: datetime
    postings: tuple[Posting, ...]
    partner_id: UUID | None = None
    partner_version: int | None = None
    rate_card_id: UUID | None = None
    merchant_id: UUID | None = None


def cause_of(*parts: object) -> UUID:
    """Return the id of a cause that is no event, made of what it is: the same parts give the same id."""
    return UUID(md5("|".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest())


def entry_id_of(cause_id: UUID, at: datetime) -> UUID:
    """Return the id of an entry of a moment, made of its cause: whoever books it again gives it the same id.

    It is a UUIDv7 like every other, so that it stands in the order of time.
    """
    version, variant, bits = 7 << 76, 2 << 62, cause_id.int & ((1 << 62) - 1)
    return UUID(int=floor_at(at).int | version | variant | (cause_id.int >> 116) << 64 | bits)


def paid_postings(party: Account, paise: int) -> tuple[Posting, ...]:
    """Return the postings of money that went from the bank to a party; below zero, of money that came back."""
    return balanced(Posting(party, PAID, paise), Posting(BANK, PAID, -paise))


def remitted_postings(party: Account, paise: int) -> tuple[Posting, ...]:
    """Return the postings of cash that was handed in: a partner's leaves its cash account, a network is owed it."""
    if party.kind is AccountKind.PARTNER:
        return remittance_postings(UUID(party.owner), paise)
    return balanced(Posting(BANK, CASH_REMITTED, paise), Posting(party, CASH_REMITTED, -paise))


def merchant_of(party: Account) -> UUID | None:
    """Return whose party it is when it is a merchant's."""
    return UUID(party.owner) if party.kind is AccountKind.MERCHANT else None


def partner_of(party: Account) -> UUID | None:
    """Return whose party it is when it is a partner's."""
    return UUID(party.owner) if party.kind is AccountKind.PARTNER else None

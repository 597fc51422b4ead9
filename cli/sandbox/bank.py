"""What a bank would say it has paid: every leg as it is owed, and some of them wrong on purpose. Pure."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from random import Random

COLUMNS = {"reference": "delivery", "payee": "paid_to", "amount": "amount", "paid_at": "paid_at", "leg": "kind"}
LEGS = {"PAYOUT": "payout", "CASH": "cash"}
# The classes that a bank can be the cause of.
WRONG = ("underpaid", "overpaid", "missing_payout", "duplicate", "wrong_partner", "unknown_delivery")
WRONG_BY_PAISE = 150


@dataclass(frozen=True, slots=True)
class Owed:
    """A leg: what is owed for a delivery, to an account of the ledger, spelt kind:owner."""

    delivery_id: str
    leg: str
    payee: str
    paise: int
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Paid:
    """A row of the statement."""

    reference: str
    payee: str
    paise: int
    paid_at: datetime
    leg: str

    def text(self) -> str:
        """Return the row as CSV."""
        rupees, paise = divmod(self.paise, 100)
        kind = next(word for word, leg in LEGS.items() if leg == self.leg)
        return f"{self.reference},{self.payee},{rupees}.{paise:02},{self.paid_at.isoformat()},{kind}\n"


def statement_of(owed: Sequence[Owed], wrong_count: int, seed: int) -> tuple[list[Paid], dict[str, list[str]]]:
    """Return the rows, in the order of payment, and which references are wrong by class.

    `wrong_count` of the payouts are wrong, each class in turn; the same seed chooses the same.
    """
    chance = Random(seed)  # noqa: S311 - chance that can be repeated, not a secret
    payouts = [place for place, one in enumerate(owed) if one.leg == "payout"]
    places = sorted(chance.sample(payouts, min(wrong_count, len(payouts))))
    chosen = dict(zip(places, cycle(WRONG), strict=False))
    rows: list[Paid] = []
    seeded: dict[str, list[str]] = defaultdict(list)
    for place, one in enumerate(owed):
        paid_at = one.confirmed_at + timedelta(minutes=chance.randrange(5, 60))
        row = Paid(one.delivery_id, one.payee, one.paise, paid_at, one.leg)
        stranger = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        kind = chosen.get(place, "")
        rows += _rows(row, kind, stranger)
        if kind:
            seeded[kind].append(stranger if kind == "unknown_delivery" else one.delivery_id)
    return sorted(rows, key=lambda row: (row.paid_at, row.reference, row.leg)), dict(seeded)


def _rows(row: Paid, kind: str, stranger: str) -> list[Paid]:
    instead = {
        "underpaid": [replace(row, paise=max(1, row.paise - WRONG_BY_PAISE))],
        "overpaid": [replace(row, paise=row.paise + WRONG_BY_PAISE)],
        "missing_payout": [],
        "duplicate": [row, replace(row, paid_at=row.paid_at + timedelta(minutes=5))],
        "wrong_partner": [replace(row, payee=f"partner:{stranger}")],
        "unknown_delivery": [row, replace(row, reference=stranger)],
    }
    return instead.get(kind, [row])

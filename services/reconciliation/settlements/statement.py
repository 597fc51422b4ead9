"""A settlement statement: what a party is owed for a cycle, and the bytes that its hash is of. Pure.

Amounts are the party's own, in paise: above zero is owed to it, below zero is owed by it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from uuid import UUID

# Lines are hashed in blocks of so many, so that nobody needs to hold all lines of a large merchant.
BLOCK_LINES = 10_000
FORM = "lastmile settlement statement 1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineKind(StrEnum):
    """What a line is for. Other kinds of entries, such as write-offs, go by their own name."""

    DELIVERY = "delivery"
    # Undoes a delivery of the same cycle.
    REVERSAL = "reversal"
    # Undoes a delivery of an earlier cycle.
    ADJUSTMENT = "adjustment"
    # By what a delivery, of this cycle or an earlier one, was wrong.
    CORRECTION = "correction"
    # What the hourly guarantee adds.
    GUARANTEE = "guarantee"
    # What the statements of others say was paid to the party.
    PAYMENT = "payment"
    # Cash that was handed in.
    REMITTANCE = "remittance"
    PAYOUT = "payout"
    PAYOUT_RETURN = "payout_return"


@dataclass(frozen=True, slots=True)
class Cycle:
    """A span of time that is settled at once. `calendar` is a city with cycles of its own, or empty for all others."""

    cycle_no: int
    calendar: str
    from_at: datetime
    until_at: datetime
    # One of lifecycle.State.
    state: str
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class StatementLine:
    """An entry of the ledger, as its party sees it.

    `work_paise` is what was earned before tax, or for a merchant its fee, below zero. `tax_paise` is TDS that was
    withheld, or a merchant's GST, both below zero. `cash_paise` is cash from the door: below zero for the partner who
    holds it, above for the merchant whose it is. `paid_paise` is what was paid out, below zero. A reversal, cash that
    is handed in and a payout that comes back have them the other way round.
    """

    entry_id: UUID
    kind: str
    delivery_id: UUID | None
    occurred_at: datetime
    work_paise: int
    tax_paise: int
    cash_paise: int
    paid_paise: int
    # What it undoes or corrects, and in which cycle that was when it was not the same.
    adjusts_entry_id: UUID | None = None
    adjusts_cycle_no: int | None = None

    @property
    def paise(self) -> int:
        """What the line adds to what the party is owed."""
        return self.work_paise + self.tax_paise + self.cash_paise + self.paid_paise


@dataclass(frozen=True, slots=True)
class Totals:
    """What a statement comes to.

    closing = opening + work + tax + cash + paid; payable = closing - held - unsettled, and never below zero.
    `held_paise` is of lines that are held, `unsettled_paise` of payouts that no statement shows yet.
    """

    opening_paise: int
    lines_count: int
    work_paise: int
    tax_paise: int
    cash_paise: int
    paid_paise: int
    closing_paise: int
    held_paise: int
    unsettled_paise: int
    payable_paise: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One party's statement of one cycle. `party` is an account of the ledger: partner:<id>, network:<code>,
    merchant:<id>."""

    cycle: Cycle
    party: str
    totals: Totals
    content_sha256: bytes
    # In the order of their entries' ids; empty where only the totals were asked for.
    lines: tuple[StatementLine, ...] = ()


@dataclass(frozen=True, slots=True)
class MerchantCharge:
    """Fees and GST of a cycle's deliveries in one city at one rate; what was undone is taken off."""

    city_code: str
    gst_bp: int
    deliveries_count: int
    fee_paise: int
    gst_paise: int


@dataclass(frozen=True, slots=True)
class MerchantCycle:
    """One merchant's cycle: what it is charged, and what it is remitted of the cash collected for it."""

    merchant_id: UUID
    statement: Statement
    # By city and rate.
    charges: tuple[MerchantCharge, ...]

    @property
    def fee_paise(self) -> int:
        """What is charged before tax."""
        return sum(charge.fee_paise for charge in self.charges)

    @property
    def gst_paise(self) -> int:
        """The tax on it, line by line to the paisa; an invoice rounds its total to rupees."""
        return sum(charge.gst_paise for charge in self.charges)

    @property
    def cash_paise(self) -> int:
        """Cash that was collected for it."""
        return self.statement.totals.cash_paise

    @property
    def remittance_paise(self) -> int:
        """What is to be paid out to it."""
        return self.statement.totals.payable_paise


def hash_of(cycle: Cycle, party: str, totals: Totals, lines: Iterable[StatementLine]) -> bytes:
    """Return the SHA-256 of a statement's canonical content. `lines` are in the order of their entries' ids.

    The content is text: the form's name, a row of the cycle, the party and the totals, and for each block of lines
    the hash of their rows. store.py says the same in SQL, which is what closing runs; a test holds the two together.
    """
    return hashlib.sha256("\n".join([*_head(cycle, party, totals), *_blocks(lines)]).encode()).digest()


def _head(cycle: Cycle, party: str, totals: Totals) -> Iterator[str]:
    t = totals
    yield FORM
    yield f"{cycle.cycle_no}|{cycle.calendar}|{_micros(cycle.from_at)}|{_micros(cycle.until_at)}|{party}"
    yield (
        f"{t.opening_paise}|{t.lines_count}|{t.work_paise}|{t.tax_paise}|{t.cash_paise}|{t.paid_paise}"
        f"|{t.closing_paise}|{t.held_paise}|{t.unsettled_paise}|{t.payable_paise}"
    )


def _blocks(lines: Iterable[StatementLine]) -> Iterator[str]:
    rows = map(_row, lines)
    while block := list(islice(rows, BLOCK_LINES)):
        yield hashlib.sha256("\n".join(block).encode()).hexdigest()


def _row(line: StatementLine) -> str:
    amounts = f"{line.work_paise}|{line.tax_paise}|{line.cash_paise}|{line.paid_paise}"
    return f"{line.entry_id}|{line.kind}|{amounts}|{line.adjusts_entry_id or ''}|{line.adjusts_cycle_no or ''}"


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)

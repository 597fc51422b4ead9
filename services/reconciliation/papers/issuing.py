"""What of the ledger is on an invoice: a month of a merchant's fees in the cities of one registration."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from services.reconciliation.papers.invoice import InvoiceLine

# India has one clock, and no summer time.
INDIA = timezone(timedelta(minutes=330))
# What is said of entries of other kinds than earnings.
_WORDS = {"reversal": " taken back", "correction": " corrected"}


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Return the month that is spelt as in 2026-10."""
        return cls(int(text[:4]), int(text[5:7]))

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02d}"

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def first_day(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """Its last day."""
        return self.next.first_day - timedelta(days=1)

    @property
    def begins_at(self) -> datetime:
        """The moment at which it begins in India."""
        return datetime(self.year, self.month, 1, tzinfo=INDIA).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Fees:
    """What the ledger has of one city, rate of tax and kind of entry."""

    city_code: str
    rate_bp: int
    kind: str
    entries: int
    fee_paise: int
    gst_paise: int


def lines_of(fees: Sequence[Fees]) -> tuple[InvoiceLine, ...]:
    """Return the lines of an invoice: what was carried, what of it was corrected, and what was taken back."""
    return tuple(
        InvoiceLine(
            description=f"Local delivery{_WORDS.get(one.kind, '')}, {one.city_code}",
            deliveries_count=one.entries,
            taxable_paise=one.fee_paise,
            rate_bp=one.rate_bp,
            tax_paise=one.gst_paise,
        )
        for one in fees
    )

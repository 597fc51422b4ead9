"""A merchant's tax invoice for a month of carriage: its lines, its tax by place of supply, its rounded total."""

from dataclasses import dataclass
from datetime import date

from libs.money.amount import total
from libs.money.rounding import whole_rupees
from services.reconciliation.papers.gst import STATES, State, TaxKind, place_of_supply, split_tax


@dataclass(frozen=True, slots=True)
class TaxParty:
    """Who supplies or receives. A recipient without a GSTIN is not registered."""

    legal_name: str
    address: str
    state_code: str
    gstin: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """Deliveries of one city under one rate of tax."""

    description: str
    deliveries_count: int
    taxable_paise: int
    rate_bp: int
    # What was posted to the ledger for it, delivery by delivery.
    tax_paise: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it was issued, which is for good."""

    number: str
    issued_on: date
    first_day: date
    last_day: date
    supplier: TaxParty
    recipient: TaxParty
    # The service accounting code of what is supplied.
    sac: str
    lines: tuple[InvoiceLine, ...]

    @property
    def place(self) -> State:
        """Where the carriage is supplied."""
        return place_of_supply(STATES[self.supplier.state_code], self.recipient.gstin)

    @property
    def taxable_paise(self) -> int:
        """The value of the supply."""
        return total(line.taxable_paise for line in self.lines)

    @property
    def tax_paise(self) -> int:
        """All of its tax."""
        return total(line.tax_paise for line in self.lines)

    @property
    def taxes(self) -> tuple[tuple[TaxKind, int], ...]:
        """The tax in its parts: those of the lines, so that every column adds up."""
        parts = [self.taxes_of(line) for line in self.lines]
        return tuple((column[0][0], total(paise for _, paise in column)) for column in zip(*parts, strict=True))

    def taxes_of(self, line: InvoiceLine) -> tuple[tuple[TaxKind, int], ...]:
        """Return a line's tax in its parts."""
        return split_tax(STATES[self.supplier.state_code], self.place, line.tax_paise)

    @property
    def payable_paise(self) -> int:
        """What the merchant owes: whole rupees, by section 170 of the CGST Act."""
        return whole_rupees(self.taxable_paise + self.tax_paise)

    @property
    def rounding_paise(self) -> int:
        """What the rounding to whole rupees adds; negative where it takes."""
        return self.payable_paise - self.taxable_paise - self.tax_paise

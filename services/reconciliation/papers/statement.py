"""A party's statement of one cycle: what was earned, what is taken off, what is paid out, and every line behind it."""

from dataclasses import dataclass
from datetime import date, datetime

from libs.money.amount import total


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What one amount is for. A negative amount is taken off. `quantity` is 0 where nothing is counted."""

    label: str
    quantity: int
    amount_paise: int


@dataclass(frozen=True, slots=True)
class StatementSection:
    """Lines under one title, with their sum."""

    title: str
    lines: tuple[StatementLine, ...]

    @property
    def amount_paise(self) -> int:
        """The sum of its lines."""
        return total(line.amount_paise for line in self.lines)


@dataclass(frozen=True, slots=True)
class StatementDetail:
    """One entry of the ledger: when it happened in India, what it is, and what of it is for what."""

    occurred_at: datetime
    label: str
    reference: str
    work_paise: int
    tax_paise: int
    cash_paise: int
    paid_paise: int


@dataclass(frozen=True, slots=True)
class PartnerStatement:
    """A closed statement. `content_sha256` is its hash, in hexadecimal, which never changes; empty for none.

    `work_title` is what the column of work is called: what a partner earned, or what a merchant is charged.
    """

    heading: str
    number: str
    payee_name: str
    payee_account: str
    issuer_name: str
    first_day: date
    last_day: date
    closed_on: date
    sections: tuple[StatementSection, ...]
    content_sha256: str = ""
    note: str = ""
    work_title: str = "Earned"
    details: tuple[StatementDetail, ...] = ()

    @property
    def payable_paise(self) -> int:
        """What is paid out, or below zero what is owed and carried to the next cycle: the sum of all sections."""
        return total(section.amount_paise for section in self.sections)

"""A partner's statement of one cycle: what was earned, what is taken off, what is paid out."""

from dataclasses import dataclass
from datetime import date

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
class PartnerStatement:
    """A closed statement. `content_sha256` is its hash, in hexadecimal, which never changes; empty for none."""

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

    @property
    def payable_paise(self) -> int:
        """What is paid out: the sum of all sections."""
        return total(section.amount_paise for section in self.sections)

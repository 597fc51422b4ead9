"""Amounts and sums of them. What does not fit into 64 bits is refused where it arises, not where it is stored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from libs.money.errors import AmountTooLargeError, CurrencyMismatchError, MoneyError

INR = "INR"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_CODE = re.compile(r"[A-Z]{3}")


def fits(minor: int) -> int:
    """Return `minor`; AmountTooLargeError when it does not fit into 64 bits."""
    if not INT64_MIN <= minor <= INT64_MAX:
        raise AmountTooLargeError(minor)
    return minor


def total(amounts_minor: Iterable[int]) -> int:
    """Return the sum of minor units of one currency; AmountTooLargeError when it does not fit into 64 bits.

    Only the sum must fit: what is on the way to it may be larger, so the order of the amounts is of no matter.
    """
    return fits(sum(amounts_minor))


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (paise for INR) of an ISO 4217 currency."""

    minor: int
    currency: str = INR

    def __post_init__(self) -> None:
        """Refuse what is no amount: a float, a bool, an unknown kind of code, more than 64 bits."""
        if type(self.minor) is not int:
            raise MoneyError(f"minor units are an int, not {type(self.minor).__name__}")
        if not _CODE.fullmatch(self.currency):
            raise MoneyError(f"{self.currency!r:.40} is no ISO 4217 code")
        fits(self.minor)

    def __add__(self, other: "Money") -> "Money":
        """Return the sum; CurrencyMismatchError, AmountTooLargeError."""
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Return the difference; CurrencyMismatchError, AmountTooLargeError."""
        return Money(self.minor - self._same(other).minor, self.currency)

    def __neg__(self) -> "Money":
        """Return the amount owed the other way."""
        return Money(-self.minor, self.currency)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatchError(self.currency, other.currency)
        return other

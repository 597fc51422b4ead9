"""What is wrong with an amount; `reason` is stable, for programs.

MoneyError
├── AmountTooLargeError     beyond what 64 bits hold
├── CurrencyMismatchError   two currencies in one sum, or another than was asked for
└── AmountTextError         text that is no amount
    ├── ExponentError       1e3
    ├── SubPaisaError       1.005
    └── GroupingError       123,456 where 1,23,456 is meant
"""

from typing import ClassVar


class MoneyError(ValueError):
    """An amount that cannot be counted; the message says why."""

    reason: ClassVar[str] = "AMOUNT_INVALID"


class AmountTooLargeError(MoneyError):
    """The amount does not fit into 64 bits, which is what every database and message holds it in."""

    reason = "AMOUNT_TOO_LARGE"

    def __init__(self, minor: int) -> None:
        # Python refuses to spell integers of more than some thousand digits.
        spelt = str(minor) if minor.bit_length() <= 128 else f"an amount of {minor.bit_length()} bits"
        super().__init__(f"{spelt} does not fit into 64 bits")


class CurrencyMismatchError(MoneyError):
    """Amounts of two currencies are never added, compared or taken for one another."""

    reason = "CURRENCY_MISMATCH"

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(f"{found} where {wanted} is wanted")


class AmountTextError(MoneyError):
    """The text is no amount of money."""

    reason = "AMOUNT_NOT_A_NUMBER"


class ExponentError(AmountTextError):
    """The amount is written with an exponent: what was rounded before it came cannot be known."""

    reason = "AMOUNT_WITH_EXPONENT"


class SubPaisaError(AmountTextError):
    """The amount has a fraction of the smallest coin."""

    reason = "AMOUNT_BELOW_MINOR_UNIT"


class GroupingError(AmountTextError):
    """The commas are not where Indian grouping has them."""

    reason = "AMOUNT_MISGROUPED"

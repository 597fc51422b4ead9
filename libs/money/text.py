"""Amounts of rupees as people and banks write them: 1,23,456.78 with Indian grouping, or 123456.78 with none."""

import re

from libs.money.amount import INR, Money, fits
from libs.money.errors import (
    AmountTextError,
    CurrencyMismatchError,
    ExponentError,
    GroupingError,
    SubPaisaError,
)

# More digits than any amount has: what is longer is not looked at.
TEXT_LENGTH_MAX = 40
_SIGNS = {"₹": INR, "RS.": INR, "RS": INR}
_AFFIXED = re.compile(r"(?P<sign>[+-]?)\s*(?P<before>₹|(?i:rs\.?)|[A-Z]{3})?\s*(?P<rest>.*?)\s*(?P<after>[A-Z]{3})?")
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9][0-9,]*)(?:\.(?P<fraction>[0-9]+))?")
_EXPONENT = re.compile(r"[+-]?[0-9][0-9,.]*[eE][+-]?[0-9]+")
_GROUPED = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}|[0-9]{1,3}")


def parse_rupees(text: str) -> Money:
    """Return the amount that `text` spells, such as "-1,23,456.78", "₹5" or "INR 12.50".

    Raises AmountTextError or one of its kinds for what is no exact number of paise, CurrencyMismatchError for another
    currency, AmountTooLargeError beyond 64 bits.
    """
    stripped = text.strip()
    shown = f"{stripped!r:.60}"
    if not stripped or len(stripped) > TEXT_LENGTH_MAX:
        raise AmountTextError(f"{shown} is no amount: it has {len(stripped)} characters")
    affixed = _AFFIXED.fullmatch(stripped)
    if affixed is None:
        raise AmountTextError(f"{shown} is no amount")
    for code in (affixed["before"], affixed["after"]):
        if code and (found := _SIGNS.get(code.upper(), code)) != INR:
            raise CurrencyMismatchError(INR, found)
    if _EXPONENT.fullmatch(affixed["rest"]):
        raise ExponentError(f"{shown} has an exponent: write the amount out")
    number = _NUMBER.fullmatch(affixed["rest"])
    if number is None or (affixed["sign"] and number["sign"]):
        raise AmountTextError(f"{shown} is no amount")
    paise = _paise(number["whole"], number["fraction"] or "", shown)
    return Money(fits(-paise if "-" in (affixed["sign"], number["sign"]) else paise))


def format_rupees(paise: int) -> str:
    """Return an amount with Indian grouping and both digits of its paise, such as "-1,23,456.78"."""
    rupees, rest = divmod(abs(paise), 100)
    digits = str(rupees)
    head, tail = digits[:-3], digits[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return f"{'-' if paise < 0 else ''}{','.join([*groups, tail])}.{rest:02d}"


def _paise(whole: str, fraction: str, shown: str) -> int:
    if "," in whole and not _GROUPED.fullmatch(whole):
        raise GroupingError(f"{shown}: commas are as in 1,23,456.78, or there are none")
    if len(fraction) > 2:
        raise SubPaisaError(f"{shown} has {len(fraction)} decimals: a paisa is the smallest coin")
    return int(whole.replace(",", "")) * 100 + int(fraction.ljust(2, "0"))

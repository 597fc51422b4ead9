"""Amounts of rupees in words, as India counts: thousand, lakh, crore."""

_ONES = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
]
_TENS = ["-", "-", "Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"]
# The largest first; what is above a crore is counted in crores.
_SCALES = ((10_000_000, "Crore"), (100_000, "Lakh"), (1_000, "Thousand"), (100, "Hundred"))


def number_in_words(number: int) -> str:
    """Return a number that is not negative in words, such as "One Lakh Twenty-Three Thousand Five"."""
    parts = []
    for scale, name in _SCALES:
        count, number = divmod(number, scale)
        if count:
            parts.append(f"{number_in_words(count)} {name}")
    if number or not parts:
        parts.append(_below_hundred(number))
    return " ".join(parts)


def rupees_in_words(paise: int) -> str:
    """Return an amount that is not negative, such as "Rupees Five and Fifty Paise Only"."""
    rupees, rest = divmod(paise, 100)
    tail = f" and {number_in_words(rest)} Paise" if rest else ""
    return f"Rupees {number_in_words(rupees)}{tail} Only"


def _below_hundred(number: int) -> str:
    if number < len(_ONES):
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]

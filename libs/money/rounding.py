"""The two ways in which money is rounded here, and no third.

A share of an amount (a rate, a surge, a tax of one line) is rounded to whole paise, half to even: over many lines that
favours neither side (IEEE 754-2019, 4.3.1, roundTiesToEven).

What is due to the government under the GST acts is rounded to whole rupees, half up: section 170 of the Central Goods
and Services Tax Act, 2017 ("fifty paise or more, it shall be increased to one rupee"). That holds for the amount that
is payable, so it is applied to the total of an invoice or a return and never to its lines.
"""

from libs.money.amount import fits
from libs.money.errors import MoneyError

BASIS_POINTS = 10_000
PAISE_PER_RUPEE = 100


def share(amount_minor: int, numerator: int, denominator: int) -> int:
    """Return amount * numerator / denominator in whole minor units, half to even.

    The denominator is positive. Raises AmountTooLargeError when the result does not fit into 64 bits.
    """
    if denominator <= 0:
        raise MoneyError(f"a share is of a positive denominator, not of {denominator}")
    quotient, rest = divmod(amount_minor * numerator, denominator)
    is_up = 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1)
    return fits(quotient + is_up)


def basis_points(amount_minor: int, rate_bp: int) -> int:
    """Return `rate_bp` ten-thousandths of an amount in whole minor units, half to even."""
    return share(amount_minor, rate_bp, BASIS_POINTS)


def whole_rupees(amount_paise: int) -> int:
    """Return the paise of an amount rounded to whole rupees as GST law asks, half away from zero."""
    rupees = (abs(amount_paise) + PAISE_PER_RUPEE // 2) // PAISE_PER_RUPEE
    return fits((rupees if amount_paise >= 0 else -rupees) * PAISE_PER_RUPEE)

"""What GST law says of who supplies what where: states, registrations, financial years, places of supply.

Sources: the first two digits of a GSTIN are its state's code (CGST Rules, rule 10); its last character checks the
others (weights 1 and 2 in turn, base 36). The place of supply of the transport of goods, courier included, is where a
registered recipient is, and else where the goods are handed over (IGST Act, section 12(8)). Tax within a state is half
central and half the state's, or the union territory's where that has no legislature; between states it is integrated
(CGST Act, section 9; UTGST Act, section 7; IGST Act, section 5).
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# State, PAN, how many registrations the PAN has in the state, Z, check digit.
_GSTIN = re.compile(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]")
_YEAR_BEGINS_MONTH = 4


class TaxKind(StrEnum):
    """Which tax a part of GST is."""

    CGST = "CGST"
    SGST = "SGST"
    UTGST = "UTGST"
    IGST = "IGST"


@dataclass(frozen=True, slots=True)
class State:
    """A state or union territory: its code of GST, the letters that invoice numbers begin with, its name."""

    code: str
    letters: str
    name: str
    local_tax: TaxKind = TaxKind.SGST


def _states() -> dict[str, State]:
    named = """
    01 JK Jammu and Kashmir|02 HP Himachal Pradesh|03 PB Punjab|05 UK Uttarakhand|06 HR Haryana|07 DL Delhi
    08 RJ Rajasthan|09 UP Uttar Pradesh|10 BR Bihar|11 SK Sikkim|12 AR Arunachal Pradesh|13 NL Nagaland|14 MN Manipur
    15 MZ Mizoram|16 TR Tripura|17 ML Meghalaya|18 AS Assam|19 WB West Bengal|20 JH Jharkhand|21 OD Odisha
    22 CG Chhattisgarh|23 MP Madhya Pradesh|24 GJ Gujarat|27 MH Maharashtra|29 KA Karnataka|30 GA Goa|32 KL Kerala
    33 TN Tamil Nadu|34 PY Puducherry|36 TS Telangana|37 AP Andhra Pradesh
    """
    without_legislature = """
    04 CH Chandigarh|26 DN Dadra and Nagar Haveli and Daman and Diu|31 LD Lakshadweep|35 AN Andaman and Nicobar Islands
    38 LA Ladakh
    """
    found = {}
    for texts, local_tax in ((named, TaxKind.SGST), (without_legislature, TaxKind.UTGST)):
        for text in texts.replace("\n", "|").split("|"):
            if text.strip():
                code, letters, name = text.strip().split(" ", 2)
                found[code] = State(code, letters, name, local_tax)
    return found


STATES = _states()


def gstin_problem(gstin: str) -> str:
    """Return what is wrong with a GSTIN, or nothing."""
    if not _GSTIN.fullmatch(gstin):
        return "is not spelt as a GSTIN: two digits, a PAN, a registration's number, Z and a check digit"
    if gstin[:2] not in STATES:
        return f"begins with {gstin[:2]}, which is no state's code"
    if gstin[-1] != _check_digit(gstin[:-1]):
        return "has a check digit that does not fit: it is mistyped"
    return ""


def _check_digit(stem: str) -> str:
    total = 0
    for place, letter in enumerate(stem):
        tens, ones = divmod(_DIGITS.index(letter) * (1 + place % 2), 36)
        total += tens + ones
    return _DIGITS[-total % 36]


def place_of_supply(supplier: State, recipient_gstin: str) -> State:
    """Return where carriage is supplied: in a registered recipient's state, else where the parcels are handed over."""
    return STATES[recipient_gstin[:2]] if recipient_gstin else supplier


def split_tax(supplier: State, place: State, tax_paise: int) -> tuple[tuple[TaxKind, int], ...]:
    """Return a tax in its parts, whose sum it is. Of an odd number of paise the central half has one more.

    The parts of what is taken back are those of what was charged, with the other sign.
    """
    if supplier.code != place.code:
        return ((TaxKind.IGST, tax_paise),)
    half = abs(tax_paise) // 2
    local = half if tax_paise >= 0 else -half
    return ((TaxKind.CGST, tax_paise - local), (place.local_tax, local))


def financial_year(on: date) -> int:
    """Return the year in which the financial year of a day began, on the first of April."""
    return on.year if on.month >= _YEAR_BEGINS_MONTH else on.year - 1


def invoice_number(supplier: State, year: int, number: int) -> str:
    """Return a number as it is printed, such as KA/26-27/000123: at most 16 characters (CGST Rules, rule 46(b))."""
    return f"{supplier.letters}/{year % 100:02d}-{(year + 1) % 100:02d}/{number:06d}"

"""Phone numbers and e-mail addresses: one spelling for each, checked, and masked for whoever may not know them.

Numbers go by libphonenumber's tables (https://github.com/google/libphonenumber), in the spelling of ITU-T E.164.
"""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

# What a number without its country is dialled in.
HOME_REGION = "IN"
# What no text message reaches.
_NO_TEXTS = frozenset({PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE})
# RFC 5321's lengths, and a domain with a dot; whether it exists, a bounce tells.
_EMAIL = re.compile(
    r"(?=.{3,254}\Z)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_SHOWN_DIGITS = 4


class AddressError(ValueError):
    """The text is no address; the message says why, without the text."""


def phone_of(text: str) -> str:
    """Return a number that takes text messages in E.164, such as +919876543210. Raises AddressError."""
    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except NumberParseException as error:
        raise AddressError(f"is no phone number: {_why(error)}") from None
    if not phonenumbers.is_valid_number(number):
        raise AddressError("is no phone number that anybody has been given")
    if phonenumbers.number_type(number) in _NO_TEXTS:
        raise AddressError("is a number that gets no text messages")
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def email_of(text: str) -> str:
    """Return an e-mail address with its domain in small letters. Raises AddressError."""
    local, _, domain = text.strip().rpartition("@")
    found = f"{local}@{domain.lower()}"
    if not _EMAIL.fullmatch(found) or ".." in local or local.startswith(".") or local.endswith("."):
        raise AddressError("is no e-mail address")
    return found


def masked(address: str) -> str:
    """Return an address of any kind with most of it hidden: +91******3210, a***@example.com, https://example.com/***."""
    if address.startswith("+"):
        return f"{address[:3]}{'*' * max(0, len(address) - 3 - _SHOWN_DIGITS)}{address[-_SHOWN_DIGITS:]}"
    if "://" in address:
        return "/".join(address.split("/")[:3]) + "/***"
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}" if local else "***"


def _why(error: NumberParseException) -> str:
    reasons = {
        NumberParseException.INVALID_COUNTRY_CODE: "its country is unknown",
        NumberParseException.TOO_SHORT_NSN: "it is too short",
        NumberParseException.TOO_SHORT_AFTER_IDD: "it is too short",
        NumberParseException.TOO_LONG: "it is too long",
    }
    return reasons.get(error.error_type, "it has too few digits in a row")

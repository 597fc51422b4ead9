"""Numbers and addresses have one spelling; what is none is refused with a reason that does not repeat it."""

import pytest

from libs.privacy.addresses import AddressError, email_of, masked, phone_of


@pytest.mark.parametrize(
    "text", ["+91 98765 43210", "098765 43210", "9876543210", "0091-9876543210", "(+91)98765-43210"]
)
def test_a_number_has_one_spelling_however_it_is_dialled_in_india(text: str) -> None:
    assert phone_of(text) == "+919876543210"


def test_a_number_of_another_country_keeps_it() -> None:
    assert phone_of("+1 415 555 2671") == "+14155552671"


@pytest.mark.parametrize(
    "text", ["", "12345", "hello", "+91 12", "+999 123456789", "+911234567890123456", "1800 11 1234"]
)
def test_what_no_text_message_reaches_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(AddressError, match="is ") as error:
        phone_of(text)
    assert not text or text not in str(error.value)


def test_an_email_keeps_its_local_part_and_loses_the_case_of_its_domain() -> None:
    assert email_of("Asha.Rao+x@Example.COM") == "Asha.Rao+x@example.com"


NO_EMAILS = [
    "", "asha", "@example.com", "asha@", "asha@localhost", "a b@example.com", "a@b@example.com", "a..b@example.com",
    "a@example.com\nBcc: b@example.com", "a@" + "b" * 250 + ".com",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_EMAILS)
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        email_of(text)


def test_a_mask_shows_enough_to_recognise_and_not_to_write_to() -> None:
    assert masked("+919876543210") == "+91******3210"
    assert masked("asha@example.com") == "a***@example.com"
    assert masked("https://example.com/hooks/secret?x=1") == "https://example.com/***"
    assert masked("") == "***"

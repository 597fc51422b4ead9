"""Texts are set as their people write them; what no font has is shown to be missing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.texts import MISSING, lines_of, printable

SCRIPTS = {
    "Devanagari": "क्षत्रिय राजेश",
    "Bengali": "চট্টোপাধ্যায়",
    "Gujarati": "ગુજરાતી",
    "Gurmukhi": "ਪੰਜਾਬੀ",
    "Kannada": "ಕನ್ನಡ",
    "Malayalam": "മലയാളം",
    "Odia": "ଓଡ଼ିଆ",
    "Tamil": "தமிழ்நாடு",
    "Telugu": "తెలుగు",
    "Urdu": "اردو",
    "Latin": "Zoë Müller, ₹ 5 — “fine”",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_of_india_are_set_in_full(script: str) -> None:
    text = unicodedata.normalize("NFC", SCRIPTS[script])
    assert printable(text) == text


def test_what_no_font_has_is_shown_to_be_missing() -> None:
    assert printable("Ravi 🛵 中") == f"Ravi {MISSING} {MISSING}"
    assert printable(MISSING) == MISSING


def test_long_words_get_places_to_break_and_letters_stay_together() -> None:
    assert printable("x" * 60).count("\u200b") == 4
    broken = printable("क्ष" * 30)
    assert broken.replace("\u200b", "") == "क्ष" * 30
    assert all(part.startswith("क") for part in broken.split("\u200b"))


def test_lines_and_white_space_are_made_tidy() -> None:
    assert printable("  a \n\t b\r\n") == "a b"
    assert lines_of("a\n\n b  c \n") == ["a", "b c"]


@given(st.text(max_size=200))
def test_nothing_is_lost_but_what_cannot_be_set(text: str) -> None:
    shown = printable(text)
    assert len(shown.replace("\u200b", "")) <= len(unicodedata.normalize("NFC", text))
    assert printable(shown).replace("\u200b", "") == shown.replace("\u200b", "")

"""Texts of merchants and customers as they are set: only glyphs that there are, and no word too long to break."""

import re
import unicodedata

from services.reconciliation.papers.fonts import covered

# What stands for a character that no font has: a reader sees that something is missing.
MISSING = "\N{REPLACEMENT CHARACTER}"
# A word that is longer gets places to break at.
_UNBROKEN_MAX = 12
_LONG_WORD = re.compile(rf"[^\s\u200b]{{{_UNBROKEN_MAX + 1},}}")
# Joiners and directions have no glyph, and scripts need them.
_WITHOUT_GLYPH = frozenset({0x200B, 0x200C, 0x200D, 0x200E, 0x200F})


def printable(text: str) -> str:
    """Return a text in one line, composed, with what no font has replaced, and places to break in long words."""
    composed = " ".join(unicodedata.normalize("NFC", text).split())
    shown = "".join(letter if _is_shown(letter) else MISSING for letter in composed)
    return _LONG_WORD.sub(_breakable, shown)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as they are set; those that are empty are left out."""
    return [line for line in map(printable, text.splitlines()) if line]


def _is_shown(letter: str) -> bool:
    return ord(letter) in covered() or ord(letter) in _WITHOUT_GLYPH


def _breakable(found: re.Match[str]) -> str:
    """Break between letters that do not join: before one that is no mark, and not after a virama."""
    word, since, broken = found[0], 0, []
    for place, letter in enumerate(word):
        joins = place and unicodedata.combining(word[place - 1]) == _VIRAMA
        if since >= _UNBROKEN_MAX and not joins and unicodedata.category(letter)[0] != "M":
            broken.append("\u200b")
            since = 0
        broken.append(letter)
        since += 1
    return "".join(broken)


_VIRAMA = 9

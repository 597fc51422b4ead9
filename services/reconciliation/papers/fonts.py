"""The fonts that papers are set in: files of packages, so that the same locks set the same bytes.

IBM Plex Sans for Latin, figures and the rupee; Noto Sans for every script of the Eighth Schedule that has one there,
for Urdu's, and for symbols. All are under the SIL Open Font License 1.1, and are embedded as subsets.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

import typst
from fontTools.ttLib import TTFont

LATIN = "IBM Plex Sans"
_NOTO_SCRIPTS = (
    "Devanagari", "Bengali", "Gujarati", "Gurmukhi", "Kannada", "Malayalam", "Oriya", "Tamil", "Telugu", "Sinhala",
    "Arabic", "Symbols",
)  # fmt: skip
FAMILIES = (LATIN, "Noto Sans", *(f"Noto Sans {script}" for script in _NOTO_SCRIPTS))


_PLEX_FILES = Path(str(files("fontpkg_ibm_plex_sans"))) / "files"
_NOTO_FILES = Path(str(files("manimgx_fonts")))


def _font_files() -> list[Path]:
    names = ("NotoSans[wght].ttf", *(f"NotoSans{script}[wght].ttf" for script in _NOTO_SCRIPTS))
    return [_PLEX_FILES / "IBMPlexSans[wdth,wght].ttf", *(_NOTO_FILES / name for name in names)]


@cache
def fonts() -> typst.Fonts:
    """Return the fonts, and none of the machine's own; RuntimeError when one is not there."""
    found = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(_PLEX_FILES), str(_NOTO_FILES)]
    )
    if missing := set(FAMILIES) - set(found.families()):
        raise RuntimeError(f"fonts are missing: {', '.join(sorted(missing))}")
    return found


@cache
def covered() -> frozenset[int]:
    """Return the code points that at least one of the fonts has a glyph for."""
    points: set[int] = set()
    for path in _font_files():
        with TTFont(path, lazy=True) as font:
            points.update(font.getBestCmap())
    return frozenset(points)

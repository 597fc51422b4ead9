"""Code 128 and QR codes as vector images, and how many modules wide they are."""

import re
from dataclasses import dataclass

import zxingcpp

# Printable ASCII: what every scanner sends on as it was typed.
CODE128_TEXT = re.compile(r"[\x20-\x7e]+")
# M repairs 15 % of a symbol: a label is scratched and taped over.
QR_CORRECTION = "M"


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol without its quiet zone. `svg` has one unit a module."""

    svg: str
    modules: int


def code128(text: str) -> Symbol:
    """Return the Code 128 of a text of printable ASCII; ValueError for any other."""
    if not CODE128_TEXT.fullmatch(text):
        raise ValueError(f"{text!r:.60} is not printable ASCII")
    return _symbol(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128))


def qr(text: str) -> Symbol:
    """Return the QR code of a text."""
    return _symbol(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=QR_CORRECTION))


def _symbol(barcode: zxingcpp.Barcode) -> Symbol:
    image = barcode.to_image(scale=1, add_hrt=False, add_quiet_zones=False)
    svg = barcode.to_svg(scale=1, add_hrt=False, add_quiet_zones=False)
    return Symbol(svg, image.shape[1])

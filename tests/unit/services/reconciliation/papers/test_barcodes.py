"""Symbols read as what they were made of."""

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.barcodes import code128, qr


def test_symbols_are_vector_images_of_one_unit_a_module() -> None:
    symbol = code128("NB-2026-1048573")
    assert f'<svg width="{symbol.modules}"' in symbol.svg
    assert qr("01890a5d-ac96-774b-bcce-b302099a8057").modules == 29


@pytest.mark.parametrize("text", ["", "कखग", "a\tb", "a\u00a0b"])
def test_what_scanners_would_not_send_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        code128(text)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=28))
def test_any_reference_reads_as_itself(reference: str) -> None:
    assert code128(reference).modules <= 356
    made = zxingcpp.create_barcode(reference, zxingcpp.BarcodeFormat.Code128)
    found = zxingcpp.read_barcode(made.to_image(scale=3))
    assert found is not None
    assert found.text == reference

"""An invoice adds up, whichever way one adds, and its total is whole rupees."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.gst import TaxKind
from services.reconciliation.papers.invoice import InvoiceLine
from tests.made_up_papers import BUYER, INVOICE

LINES = st.lists(
    st.builds(
        InvoiceLine,
        description=st.just("Local delivery"),
        deliveries_count=st.integers(1, 10**6),
        taxable_paise=st.integers(-(10**12), 10**12),
        rate_bp=st.sampled_from([500, 1_200, 1_800]),
        tax_paise=st.integers(-(10**11), 10**11),
    ),
    min_size=1,
    max_size=30,
)


@given(LINES, st.sampled_from(["29AABCN4321D1ZU", "27AAPFU0939F1ZV", ""]))
def test_every_column_adds_up_to_the_total(lines: list[InvoiceLine], gstin: str) -> None:
    invoice = replace(INVOICE, lines=tuple(lines), recipient=replace(BUYER, gstin=gstin))
    assert sum(paise for _, paise in invoice.taxes) == invoice.tax_paise
    for place, (kind, paise) in enumerate(invoice.taxes):
        assert [invoice.taxes_of(line)[place][0] for line in lines] == [kind] * len(lines)
        assert sum(invoice.taxes_of(line)[place][1] for line in lines) == paise
    assert invoice.payable_paise == invoice.taxable_paise + invoice.tax_paise + invoice.rounding_paise
    assert invoice.payable_paise % 100 == 0
    assert abs(invoice.rounding_paise) <= 50


def test_a_buyer_in_another_state_owes_integrated_tax() -> None:
    invoice = replace(INVOICE, recipient=replace(BUYER, gstin="27AAPFU0939F1ZV"))
    assert invoice.place.name == "Maharashtra"
    assert [kind for kind, _ in invoice.taxes] == [TaxKind.IGST]
    assert [kind for kind, _ in INVOICE.taxes] == [TaxKind.CGST, TaxKind.SGST]


def test_fifty_paise_are_rounded_up() -> None:
    half = replace(INVOICE, lines=(InvoiceLine("Local delivery", 1, 100_00, 1_800, 18_50),))
    assert (half.payable_paise, half.rounding_paise) == (119_00, 50)

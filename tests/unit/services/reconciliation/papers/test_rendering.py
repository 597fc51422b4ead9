"""Papers are the same bytes everywhere, are read by scanners, and take texts as texts."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.reconciliation.papers.fonts import covered
from services.reconciliation.papers.invoice import Invoice
from services.reconciliation.papers.label import Address, Label, LabelSheet
from services.reconciliation.papers.rendering import Paper, forget, pdf, png_pages
from services.reconciliation.papers.statement import PartnerStatement, StatementLine, StatementSection
from services.reconciliation.papers.texts import MISSING
from tests.made_up_papers import HARD_LABEL, INVOICE, LABEL, STATEMENT, made_up_sheet

PRINTER_PPI = 203
CODE = '#panic("x") #read("/etc/passwd") #{while true {}} $x$ *b* _i_ @x <y> \\u{41} ```typ``` // [ ] { } "'
SHEET = LabelSheet((LABEL, HARD_LABEL))
WIDE = replace(
    LABEL,
    merchant_name="W" * 100,
    reference="W" * 28,
    cash_paise=1_00_00_000_00,
    route_code="W" * 12,
    service="W" * 12,
    recipient=Address("W" * 100, "W" * 400, "W" * 60, "999999", "+99 99999999999999"),
    sender=Address("W" * 100, "W " * 200, "W" * 60, "999999", "+99 99999999999999"),
)
PAPERS: dict[str, Paper] = {"label": SHEET, "invoice": INVOICE, "statement": STATEMENT}
HASH = """
import hashlib
from services.reconciliation.papers.rendering import pdf
from tests.unit.services.reconciliation.papers.test_rendering import PAPERS
print(" ".join(hashlib.sha256(pdf(paper)).hexdigest() for paper in PAPERS.values()))
"""


def symbols(png: bytes) -> set[tuple[str, str]]:
    """Return what a scanner reads on a page: the kinds of its symbols and their texts."""
    return {(str(found.format), found.text) for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(png)))}


def expected(label: Label) -> set[tuple[str, str]]:
    return {("Code 128", label.reference), ("QR Code", str(label.delivery_id))}


def test_every_label_is_read_at_the_dots_of_a_thermal_printer() -> None:
    labels = (*SHEET.labels, WIDE, *made_up_sheet(7, labels=6).labels)
    pages = png_pages(LabelSheet(labels), PRINTER_PPI)
    assert [Image.open(io.BytesIO(page)).size for page in pages] == [(812, 1218)] * len(labels)
    assert [symbols(page) for page in pages] == [expected(label) for label in labels]


def test_bars_are_whole_dots_black_or_white() -> None:
    page = Image.open(io.BytesIO(png_pages(LabelSheet((LABEL,)), PRINTER_PPI)[0])).convert("L")
    bars = next(found for found in zxingcpp.read_barcodes(page) if "128" in str(found.format))
    row = [page.getpixel((x, bars.position.top_left.y + 40)) for x in range(812)]
    assert set(row) == {0, 255}
    edges = [x for x in range(1, 812) if row[x] != row[x - 1]]
    assert {(right - edges[0]) % 3 for right in edges} == {0}


@pytest.mark.parametrize("kind", PAPERS)
def test_the_same_contents_are_the_same_bytes(kind: str) -> None:
    first = pdf(PAPERS[kind])
    pdf(made_up_sheet(3))
    assert pdf(PAPERS[kind]) == first


def test_another_process_elsewhere_makes_the_same_bytes() -> None:
    environment = os.environ | {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    made = subprocess.run(
        [sys.executable, "-c", HASH], check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert made.split() == [hashlib.sha256(pdf(paper)).hexdigest() for paper in PAPERS.values()]


def test_what_is_forgotten_is_made_again() -> None:
    first = pdf(SHEET)
    forget()
    assert pdf(SHEET) == first


@pytest.mark.parametrize("kind", PAPERS)
def test_papers_are_archival_and_dated_by_their_contents(kind: str) -> None:
    made = pdf(PAPERS[kind])
    assert b"<pdfaid:part>2</pdfaid:part>" in made
    dated = {"label": "2026-11-26", "invoice": "2026-11-01", "statement": "2026-11-23"}[kind]
    assert f"<xmp:CreateDate>{dated}T00:00:00".encode() in made


def test_code_in_a_text_is_text() -> None:
    spoilt = Address(CODE, CODE, CODE, "560001", "+91 1")
    label = replace(LABEL, merchant_name=CODE, route_code=CODE, service=CODE[:12], sender=spoilt, recipient=spoilt)
    party = replace(INVOICE.recipient, legal_name=CODE, address=f"{CODE}\n{CODE}", email=CODE)
    invoice = replace(INVOICE, recipient=party, lines=(replace(INVOICE.lines[0], description=CODE),))
    section = StatementSection(CODE, (StatementLine(CODE, 1, 100),))
    statement = replace(STATEMENT, payee_name=CODE, number=CODE, note=CODE, sections=(section,))
    assert symbols(png_pages(LabelSheet((label,)), PRINTER_PPI)[0]) == expected(label)
    for paper in (invoice, statement):
        assert len(png_pages(paper, 72)) == 1
        assert pdf(paper).startswith(b"%PDF")


def test_a_text_that_is_code_is_as_long_as_it_is() -> None:
    short = png_pages(replace(INVOICE, recipient=replace(INVOICE.recipient, legal_name="#lorem(900)")), 40)
    assert len(short) == 1


def test_what_no_font_has_is_shown_and_does_not_spoil_the_paper() -> None:
    assert ord(MISSING) in covered()
    label = replace(LABEL, recipient=replace(LABEL.recipient, name="李小龍 🛵 Ravi", address="\u0300\u094d\u200d x"))
    assert pdf(LabelSheet((label,))).startswith(b"%PDF")


def test_long_papers_run_over_pages_with_their_headings() -> None:
    lines = tuple(StatementLine(f"Delivery {number}", 1, 50_00) for number in range(200))
    long = replace(STATEMENT, sections=(StatementSection("Earnings", lines),))
    assert len(png_pages(long, 40)) == 6
    assert len(png_pages(replace(INVOICE, lines=INVOICE.lines * 30), 40)) == 5


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
LONG_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
ADDRESSES = st.builds(
    Address,
    name=TEXT,
    address=LONG_TEXT,
    city=TEXT,
    pincode=st.from_regex(r"[1-9][0-9]{5}", fullmatch=True),
    phone=st.from_regex(r"\+[0-9]{6,18}", fullmatch=True),
)
LABELS = st.builds(
    Label,
    delivery_id=st.uuids(),
    reference=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=4, max_size=28),
    merchant_name=TEXT,
    sender=ADDRESSES,
    recipient=ADDRESSES,
    city_code=st.from_regex(r"[A-Z][A-Z0-9_-]{1,15}", fullmatch=True),
    weight_g=st.integers(1, 10**6),
    cash_paise=st.integers(0, 10**9),
    dispatched_on=st.dates(date(2020, 1, 1), date(2099, 12, 31)),
    route_code=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=16),
    service=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)


@settings(max_examples=30, deadline=None)
@given(LABELS)
def test_any_label_is_one_page_that_scanners_read(label: Label) -> None:
    sheet = LabelSheet((label,))
    pages = png_pages(sheet, PRINTER_PPI)
    assert len(pages) == 1
    assert expected(label) <= symbols(pages[0])
    assert pdf(sheet) == pdf(sheet)


@settings(max_examples=25, deadline=None)
@given(TEXT, LONG_TEXT, st.integers(-(2**62), 2**62))
def test_any_contents_make_a_paper(name: str, text: str, paise: int) -> None:
    party = replace(INVOICE.recipient, legal_name=name, address=text, email=name)
    invoice: Invoice = replace(
        INVOICE, recipient=party, lines=(replace(INVOICE.lines[0], description=text, taxable_paise=abs(paise)),)
    )
    section = StatementSection(name, (StatementLine(text, 1, paise),))
    statement: PartnerStatement = replace(STATEMENT, payee_name=name, note=text, sections=(section,))
    for paper in (invoice, statement):
        assert pdf(paper).startswith(b"%PDF")

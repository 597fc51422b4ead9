"""Papers as bytes, by typst: the same contents make the same bytes, in every process and on every day.

A template is a file of `templates/`. Contents reach it as JSON in an input of the document, so that no text of anybody
is ever code. The date of the document is that of its contents; no clock is asked.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import typst

from services.reconciliation.papers.contents import invoice_content, sheet_content, statement_content
from services.reconciliation.papers.fonts import FAMILIES, fonts
from services.reconciliation.papers.invoice import Invoice
from services.reconciliation.papers.label import LabelSheet
from services.reconciliation.papers.statement import PartnerStatement

TEMPLATES = Path(__file__).parent / "templates"
# Archival, with every font in it: an invoice is to be read in eight years (CGST Act, section 36).
_PDF_STANDARD: Final = "a-2b"
# What a page was made of is kept for so many documents, in case that it comes again.
_REMEMBERED_DOCUMENTS = 10

Paper = LabelSheet | Invoice | PartnerStatement


class PaperKind(StrEnum):
    """What a paper is; its template has this name."""

    LABEL = "label"
    INVOICE = "invoice"
    STATEMENT = "statement"


class RenderingError(Exception):
    """A paper that cannot be set: a bug in a template, which the message describes."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    kind: PaperKind
    content: dict[str, Any]
    dated: date


def pdf(paper: Paper) -> bytes:
    """Return a paper as PDF/A-2b; RenderingError."""
    return _compiled(
        paper,
        lambda compiler, inputs, moment: compiler.compile(
            format="pdf", sys_inputs=inputs, pdf_standards=_PDF_STANDARD, timestamp=moment, pdf_tags=False
        ),
    )[0]


def png_pages(paper: Paper, ppi: int) -> list[bytes]:
    """Return a paper's pages as images of `ppi` dots an inch; RenderingError."""
    return _compiled(paper, lambda compiler, inputs, moment: compiler.compile(format="png", ppi=ppi, sys_inputs=inputs))


def forget() -> None:
    """Give up what typst remembers of the pages it has set: it forgets what its last documents had no use for."""
    for _ in range(_REMEMBERED_DOCUMENTS + 1):
        _nothing().compile(b"", format="pdf")


def _compiled(paper: Paper, compile_: Callable[[typst.Compiler, dict[str, str], datetime], Any]) -> list[bytes]:
    prepared = _prepared(paper)
    inputs = {"content": json.dumps(prepared.content, ensure_ascii=False), "families": json.dumps(FAMILIES)}
    moment = datetime.combine(prepared.dated, time(), UTC)
    try:
        made = compile_(_compiler(prepared.kind), inputs, moment)
    except typst.TypstError as error:
        raise RenderingError(f"{prepared.kind}: {error.message}") from error
    return made if isinstance(made, list) else [made]


def _prepared(paper: Paper) -> _Prepared:
    match paper:
        case LabelSheet():
            return _Prepared(PaperKind.LABEL, sheet_content(paper), paper.documents_on)
        case Invoice():
            return _Prepared(PaperKind.INVOICE, invoice_content(paper), paper.issued_on)
        case PartnerStatement():
            return _Prepared(PaperKind.STATEMENT, statement_content(paper), paper.closed_on)


@cache
def _compiler(kind: PaperKind) -> typst.Compiler:
    """Return the compiler of a template: it keeps what it has parsed."""
    return typst.Compiler(TEMPLATES / f"{kind}.typ", root=TEMPLATES, font_paths=fonts())


@cache
def _nothing() -> typst.Compiler:
    return typst.Compiler(b"", font_paths=fonts())

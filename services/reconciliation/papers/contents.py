"""What templates are given: every amount, date and text as it is to be set, so that templates only place them."""

from datetime import date
from typing import Any

from libs.money.text import format_rupees
from services.reconciliation.papers.barcodes import Symbol, code128, qr
from services.reconciliation.papers.gst import STATES
from services.reconciliation.papers.invoice import Invoice, InvoiceLine, TaxParty
from services.reconciliation.papers.label import Address, Label, LabelSheet
from services.reconciliation.papers.statement import PartnerStatement, StatementDetail, StatementSection
from services.reconciliation.papers.texts import lines_of, printable
from services.reconciliation.papers.words import rupees_in_words

_GRAMS_PER_KG = 1000
MINUS = "\N{MINUS SIGN}"


def sheet_content(sheet: LabelSheet) -> dict[str, Any]:
    """Return what label.typ takes."""
    first = sheet.labels[0].reference
    title = first if len(sheet.labels) == 1 else f"{len(sheet.labels)} labels from {first}"
    return {"title": title, "labels": [_label(label) for label in sheet.labels]}


def invoice_content(invoice: Invoice) -> dict[str, Any]:
    """Return what invoice.typ takes."""
    place = invoice.place
    return {
        "title": f"Tax invoice {invoice.number}",
        "number": invoice.number,
        "issued_on": day(invoice.issued_on),
        "period": period(invoice.first_day, invoice.last_day),
        "place": f"{place.name} ({place.code})",
        "supplier": _party(invoice.supplier),
        "recipient": _party(invoice.recipient),
        "sac": invoice.sac,
        "tax_names": [str(kind) for kind, _ in invoice.taxes],
        "lines": [_invoice_line(invoice, line) for line in invoice.lines],
        "taxable": rupees(invoice.taxable_paise),
        "taxes": [rupees(paise) for _, paise in invoice.taxes],
        "before_rounding": rupees(invoice.taxable_paise + invoice.tax_paise),
        "rounding": rupees(invoice.rounding_paise),
        "payable": rupees(invoice.payable_paise),
        "words": rupees_in_words(invoice.payable_paise),
    }


def statement_content(statement: PartnerStatement) -> dict[str, Any]:
    """Return what statement.typ takes."""
    return {
        "title": f"{statement.heading} {printable(statement.number)}",
        "heading": statement.heading,
        "number": printable(statement.number),
        "issuer": printable(statement.issuer_name),
        "payee": printable(statement.payee_name),
        "account": printable(statement.payee_account),
        "period": period(statement.first_day, statement.last_day),
        "closed_on": day(statement.closed_on),
        "payable": rupees(statement.payable_paise),
        "is_owed_back": statement.payable_paise < 0,
        "sections": [_section(section) for section in statement.sections],
        "sha256": statement.content_sha256,
        "note": printable(statement.note),
        "work_title": statement.work_title,
        "details": [_detail(detail) for detail in statement.details],
    }


def rupees(paise: int) -> str:
    """Return an amount as it is set, such as "1,23,456.78", with a true minus."""
    return format_rupees(paise).replace("-", MINUS)


def count(number: int) -> str:
    """Return a number with Indian grouping."""
    return format_rupees(number * 100).removesuffix(".00").replace("-", MINUS)


def day(on: date) -> str:
    """Return a date such as "05 Nov 2026", in no locale."""
    return f"{on.day:02d} {_MONTHS[on.month - 1]} {on.year}"


def period(first: date, last: date) -> str:
    """Return days from one to another, such as "01 - 31 Oct 2026", with a dash of the right length."""
    begins = f"{first.day:02d}" if (first.year, first.month) == (last.year, last.month) else day(first)
    return f"{begins} \N{EN DASH} {day(last)}"


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _label(label: Label) -> dict[str, Any]:
    return {
        "merchant": printable(label.merchant_name),
        "service": printable(label.service),
        "sender": _address(label.sender),
        "recipient": _address(label.recipient),
        "city_code": label.city_code,
        "route_code": printable(label.route_code),
        "weight": f"{label.weight_g / _GRAMS_PER_KG:.3f} kg",
        "cash": rupees(label.cash_paise) if label.cash_paise else "",
        "dispatched_on": day(label.dispatched_on),
        "reference": label.reference,
        "delivery_id": str(label.delivery_id),
        "code128": _symbol(code128(label.reference)),
        "qr": _symbol(qr(str(label.delivery_id))),
    }


def _symbol(symbol: Symbol) -> dict[str, Any]:
    return {"svg": symbol.svg, "modules": symbol.modules}


def _address(address: Address) -> dict[str, Any]:
    return {
        "name": printable(address.name),
        "address": printable(address.address),
        "city": printable(address.city),
        "pincode": address.pincode,
        "phone": address.phone,
    }


def _party(party: TaxParty) -> dict[str, Any]:
    state = STATES[party.state_code]
    return {
        "name": printable(party.legal_name),
        "address": lines_of(party.address),
        "state": f"{state.name} ({state.code})",
        "gstin": party.gstin,
        "email": printable(party.email),
    }


def _invoice_line(invoice: Invoice, line: InvoiceLine) -> dict[str, Any]:
    taxes = invoice.taxes_of(line)
    return {
        "description": printable(line.description),
        "sac": invoice.sac,
        "deliveries": count(line.deliveries_count),
        "taxable": rupees(line.taxable_paise),
        "taxes": [{"rate": percent(line.rate_bp, len(taxes)), "amount": rupees(paise)} for _, paise in taxes],
        "total": rupees(line.taxable_paise + line.tax_paise),
    }


def percent(rate_bp: int, parts: int) -> str:
    """Return one of the equal parts of a rate in ten-thousandths, such as "9%" or "2.5%"."""
    return f"{rate_bp / parts / 100:.4f}".rstrip("0").rstrip(".") + "%"


def _section(section: StatementSection) -> dict[str, Any]:
    return {
        "title": printable(section.title),
        "amount": rupees(section.amount_paise),
        "lines": [
            {
                "label": printable(line.label),
                "quantity": count(line.quantity) if line.quantity else "",
                "amount": rupees(line.amount_paise),
            }
            for line in section.lines
        ],
    }


def _detail(detail: StatementDetail) -> list[str]:
    """Return the cells of one line; nothing for an amount of nothing."""
    amounts = (detail.work_paise, detail.tax_paise, detail.cash_paise, detail.paid_paise)
    return [
        f"{day(detail.occurred_at)[:6]}, {detail.occurred_at:%H:%M}",
        detail.label,
        detail.reference,
        *(rupees(paise) if paise else "" for paise in amounts),
    ]

"""Papers between messages and the domain."""

from datetime import date
from uuid import UUID

from lastmile.reconciliation.v1 import paper_pb2 as pb

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ServiceError
from services.reconciliation.papers.gst import STATES, gstin_problem
from services.reconciliation.papers.invoice import TaxParty
from services.reconciliation.papers.label import Address, Label, LabelSheet
from services.reconciliation.papers.store import IssuedInvoice
from services.reconciliation.timestamps import timestamp


def sheet_from(sent: pb.LabelSheet) -> LabelSheet:
    """Return the labels that are sent; InvalidArgumentError for a date that there is not."""
    days = [_date(label.dispatched_on) for label in sent.labels]
    violations = [
        FieldViolation(f"labels.labels[{place}].dispatched_on", "is no date", "label.date")
        for place, on in enumerate(days)
        if on is None
    ]
    if violations:
        raise InvalidArgumentError.of(*violations)
    return LabelSheet(tuple(_label(label, on) for label, on in zip(sent.labels, days, strict=True) if on))


def recipient_from(sent: pb.InvoiceRecipient) -> TaxParty:
    """Return who an invoice is made out to; InvalidArgumentError for a GSTIN or a state that there is not."""
    violations = []
    if sent.state_code not in STATES:
        violations.append(FieldViolation("recipient.state_code", "is no state's code", "gst.state"))
    if sent.gstin and (problem := gstin_problem(sent.gstin)):
        violations.append(FieldViolation("recipient.gstin", problem, "gst.gstin"))
    elif sent.gstin and not sent.gstin.startswith(sent.state_code):
        violations.append(
            FieldViolation("recipient.gstin", "is of another state than the recipient", "gst.gstin_state")
        )
    if violations:
        raise InvalidArgumentError.of(*violations)
    return TaxParty(sent.legal_name, sent.address, sent.state_code, sent.gstin, sent.email)


def invoice_to(made: IssuedInvoice) -> pb.Invoice:
    """Return an invoice as a message."""
    return pb.Invoice(
        id=str(made.id),
        number=made.number,
        merchant_id=str(made.merchant_id),
        supplier_state_code=made.state_code,
        month=f"{made.month:%Y-%m}",
        place_of_supply=made.place_of_supply,
        taxable_paise=made.taxable_paise,
        cgst_paise=made.cgst_paise,
        sgst_paise=made.sgst_paise,
        igst_paise=made.igst_paise,
        rounding_paise=made.rounding_paise,
        payable_paise=made.payable_paise,
        content_sha256=made.content_sha256.hex(),
        issued_at=timestamp(made.issued_at),
        issued_by=made.issued_by,
    )


def error_to(error: ServiceError) -> pb.PaperError:
    """Return why a paper could not be made."""
    return pb.PaperError(
        code=error.code.name,
        reason=error.reason,
        message=error.message,
        field_violations=[
            pb.PaperFieldViolation(field=v.field, description=v.description, rule=v.rule) for v in error.violations
        ],
    )


def _label(sent: pb.Label, dispatched_on: date) -> Label:
    return Label(
        delivery_id=UUID(sent.delivery_id),
        reference=sent.reference,
        merchant_name=sent.merchant_name,
        sender=_address(sent.sender),
        recipient=_address(sent.recipient),
        city_code=sent.city_code,
        weight_g=sent.weight_g,
        cash_paise=sent.cash_paise,
        dispatched_on=dispatched_on,
        route_code=sent.route_code,
        service=sent.service,
    )


def _address(sent: pb.LabelAddress) -> Address:
    return Address(sent.name, sent.address, sent.city, sent.pincode, sent.phone)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None

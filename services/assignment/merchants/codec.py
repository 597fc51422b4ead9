"""Merchants between protobuf and plain values."""

from lastmile.assignment.v1 import merchant_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.events import event_text, timestamp
from services.assignment.merchants.merchant import Merchant


def merchant_to(merchant: Merchant) -> merchant_pb2.Merchant:
    """Return the merchant as its callers see it."""
    return merchant_pb2.Merchant(
        id=str(merchant.id),
        name=merchant.name,
        reference=merchant.reference,
        created_at=timestamp(merchant.created_at),
    )


def created_event(merchant: Merchant, traceparent: str) -> str:
    """Return the event of a merchant's registration. A merchant belongs to no city, and never changes."""
    return event_text(
        event_pb2.Event(merchant_created=event_pb2.MerchantCreated(merchant=merchant_to(merchant))),
        subject=f"merchants/{merchant.id}",
        city_code="",
        sequence=1,
        at=merchant.created_at,
        merchant_id=str(merchant.id),
        traceparent=traceparent,
    )

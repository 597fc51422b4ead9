"""Merchants between protobuf and plain values."""

from datetime import datetime

from lastmile.assignment.v1 import merchant_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.events import event_text, timestamp
from services.assignment.merchants.merchant import Merchant, MerchantPartners


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


def partners_to(lists: MerchantPartners) -> merchant_pb2.MerchantPartners:
    """Return a merchant's lists of partners as their callers see them."""
    return merchant_pb2.MerchantPartners(
        merchant_id=str(lists.merchant_id),
        allowed_partner_ids=map(str, lists.allowed),
        denied_partner_ids=map(str, lists.denied),
        version=lists.version,
        updated_at=timestamp(lists.updated_at) if lists.updated_at else None,
    )


def partners_changed_event(lists: MerchantPartners, at: datetime, traceparent: str) -> str:
    """Return the event of new lists."""
    return event_text(
        event_pb2.Event(merchant_partners_changed=event_pb2.MerchantPartnersChanged(partners=partners_to(lists))),
        subject=f"merchants/{lists.merchant_id}/partners",
        city_code="",
        sequence=lists.version,
        at=at,
        merchant_id=str(lists.merchant_id),
        traceparent=traceparent,
    )

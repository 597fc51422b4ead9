"""What a merchant is: a tenant."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant; `reference` is the company's own unique name for it."""

    id: UUID
    name: str
    reference: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MerchantPartners:
    """Which partners a merchant's deliveries may go to: where any is allowed, no others; the denied ones never."""

    merchant_id: UUID
    allowed: tuple[UUID, ...] = ()
    denied: tuple[UUID, ...] = ()
    version: int = 0
    updated_at: datetime | None = None

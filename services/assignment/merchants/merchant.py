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

"""A shipping label's contents: what a courier reads at arm's length, and what a scanner reads."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Address:
    """Somewhere a parcel comes from or goes to, as its people write it: any script, any length within the limits."""

    name: str
    address: str
    city: str
    pincode: str
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """One parcel's label. `reference` becomes the Code 128, the id of the delivery the QR code."""

    delivery_id: UUID
    reference: str
    merchant_name: str
    sender: Address
    recipient: Address
    city_code: str
    weight_g: int
    # What the courier collects at the door; 0 for a parcel that is paid for.
    cash_paise: int
    # The date that is printed, and that the document carries.
    dispatched_on: date
    # How the parcel is sorted, such as a zone of the city, and what was promised, such as EXPRESS; empty for neither.
    route_code: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class LabelSheet:
    """Labels of one document, a page each, in this order."""

    labels: tuple[Label, ...]

    @property
    def documents_on(self) -> date:
        """The date that the document carries: that of its youngest label."""
        return max(label.dispatched_on for label in self.labels)

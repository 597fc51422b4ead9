"""Values for tests: valid by default, and varied where a test says so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from libs.ids import new_id
from services.assignment.deliveries.delivery import Delivery, Details, Point
from services.assignment.deliveries.lifecycle import DeliveryState

CITY = "BLR"


def details(merchant_id: UUID | None = None, **changes: object) -> Details:
    """A parcel across Bengaluru, due in two hours."""
    now = datetime.now(UTC)
    made = Details(
        merchant_id=merchant_id or new_id(),
        merchant_reference="",
        city_code=CITY,
        pickup=Point(12.9716, 77.5946),
        drop=Point(12.9352, 77.6245),
        length_mm=300,
        width_mm=200,
        height_mm=150,
        weight_g=1200,
        ready_at=now,
        drop_from=now,
        drop_until=now + timedelta(hours=2),
        declared_value=None,
        cash_on_delivery=None,
        vehicles=(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names are the fields'


def delivery(
    state: DeliveryState = DeliveryState.PENDING, partner_id: UUID | None = None, **changes: object
) -> Delivery:
    """A delivery in a state."""
    now = datetime.now(UTC)
    return Delivery(
        id=new_id(),
        details=details(**changes),  # type: ignore[arg-type]  # names are the fields'
        state=state,
        partner_id=partner_id,
        unassigned_reason="",
        match_after=now,
        version=1,
        attempts_failed=0,
        state_at=now,
        created_at=now,
        updated_at=now,
    )

"""What must hold of a new delivery beyond its proto's rules: its city, its places and its times."""

from datetime import datetime, timedelta

from libs.grpc_server.errors import FieldViolation
from services.assignment.cities.city import City
from services.assignment.deliveries.delivery import RUPEES, Details

AHEAD_MAX = timedelta(days=60)
READY_BEFORE_MAX = timedelta(hours=24)
READY_AFTER_MAX = timedelta(hours=24)


def violations_of(details: Details, city: City | None, now: datetime) -> list[FieldViolation]:
    """Return what is wrong with a new delivery's city, places and times."""
    found = []
    if city is None:
        known = f"no city has the code {details.city_code!r}; see /v1/cities"
        found.append(FieldViolation("details.city_code", known, "city.known"))
    else:
        for field, point in (("details.pickup", details.pickup), ("details.drop", details.drop)):
            distance_m = city.distance_from_center_m(point.lat, point.lng)
            if distance_m > city.radius_m:
                said = f"lies {distance_m / 1000:.0f} km from the center of {city.code}, whose service area ends at"
                found.append(FieldViolation(field, f"{said} {city.radius_m / 1000:.0f} km", "city.service_area"))
    if details.drop_until <= now:
        found.append(FieldViolation("details.drop_window.end", "lies in the past", "drop_window.future"))
    elif details.drop_until > now + AHEAD_MAX:
        said = f"lies more than {AHEAD_MAX.days} days ahead"
        found.append(FieldViolation("details.drop_window.end", said, "drop_window.ahead_max"))
    # Goods that are ready only after the customer expects them make a late delivery, not an impossible one.
    if details.ready_at > details.drop_until + READY_AFTER_MAX:
        said = f"lies more than {READY_AFTER_MAX.total_seconds() / 3600:.0f} hours after the drop window's end"
        found.append(FieldViolation("details.ready_at", said, "ready_at.after_max"))
    cash = details.cash_on_delivery
    if cash is not None and cash.currency_code != RUPEES:
        said = f"is {cash.currency_code}; partners collect {RUPEES} only"
        found.append(FieldViolation("details.cash_on_delivery.currency_code", said, "cash_on_delivery.currency"))
    if details.ready_at < now - READY_BEFORE_MAX:
        found.append(FieldViolation("details.ready_at", "lies more than 24 hours in the past", "ready_at.past_max"))
    return found

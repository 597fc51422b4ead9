"""A remedy in words and numbers: what to change, by how much, and how large a change that is."""

from dataclasses import dataclass

from services.assignment.matching.changes import MINUTE_S, Kind
from services.assignment.matching.travel import VEHICLES

# How large a change of one hour is, a further kind of vehicle, and one more partner right beside the pickup: about as
# much as a package of half the weight.
HOUR_SIZE, VEHICLE_SIZE, PARTNER_SIZE = 0.5, 0.5, 1.0
_SIGNS = {Kind.WINDOW_END: "+", Kind.READY_LATER: "+", Kind.PICKUP_DISTANCE: "+"}
_NAMES = {
    Kind.WEIGHT: "weight",
    Kind.VOLUME: "volume",
    Kind.LONGEST_SIDE: "longest side",
    Kind.CASH_ON_DELIVERY: "cash on delivery",
    Kind.DECLARED_VALUE: "declared value",
    Kind.WINDOW_END: "window",
    Kind.READY_LATER: "ready",
    Kind.READY_EARLIER: "ready",
    Kind.PICKUP_DISTANCE: "pickup distance limit",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change that gets a package a partner.

    amount: how much, in `unit`; for `partner` and `partner_place` how far from the pickup. size: how large a change it
    is, to compare kinds: the share of the package's own weight, volume, side, cash or value, or of the city's limit;
    HOUR_SIZE for each hour, VEHICLE_SIZE for each kind of vehicle, and for a partner from PARTNER_SIZE on, more the
    nearer it must be. vehicles: what the text names, as bits.
    """

    kind: Kind
    amount: int
    unit: str
    text: str
    size: float
    vehicles: int = 0


def column_remedy(kind: Kind, amount: int, unit: str, value: float) -> Remedy:
    """Return the remedy that changes a column, whose value is `value` now."""
    size = amount / 3600 * HOUR_SIZE if unit == "s" else amount / max(1.0, value)
    return Remedy(kind, amount, unit, f"{_NAMES[kind]} {_SIGNS.get(kind, '-')}{_shown(amount, unit)}", size)


def vehicles_remedy(mask: int) -> Remedy:
    """Return the remedy that allows more vehicles."""
    names = [name.replace("_", " ") for bit, name in enumerate(VEHICLES) if mask >> bit & 1]
    said = f"also by {names[0]}" if len(names) == 1 else f"also by {', '.join(names[:-1])} or {names[-1]}"
    return Remedy(Kind.VEHICLES, len(names), "vehicles", said, VEHICLE_SIZE * len(names), mask)


def place_remedy(distance_m: int) -> Remedy:
    """Return the remedy of one more place with a partner so far from the pickup."""
    said = f"one more place with a partner {_shown(distance_m, 'm')} away"
    return Remedy(Kind.PARTNER_PLACE, distance_m, "m", said, PARTNER_SIZE)


def partner_remedy(distance_m: int, limit_m: float, vehicle: int) -> Remedy:
    """Return the remedy of one more partner who is at most so far from the pickup."""
    size = PARTNER_SIZE + 1.0 - min(1.0, distance_m / max(1.0, limit_m))
    said = f"a partner within {_shown(distance_m, 'm')}, by {VEHICLES[vehicle].replace('_', ' ')}, with room for it"
    return Remedy(Kind.PARTNER, distance_m, "m", said, size, 1 << vehicle)


def _shown(amount: int, unit: str) -> str:
    if unit == "paise":
        return f"{amount // 100}.{amount % 100:02} INR"
    if unit == "m":
        return f"{amount / 1000:.1f} km" if amount >= 1000 and amount % 100 == 0 else f"{amount} m"
    if unit == "s" and amount >= MINUTE_S:
        minutes, seconds = divmod(amount, MINUTE_S)
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{amount} {unit}"

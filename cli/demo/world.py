"""The demo's world, made from a seed: cities, merchants, partners, orders, and how each order's day goes. No I/O."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]

EARTH_RADIUS_M = 6_371_008.8
# Of the offers, and of the attempts at the door.
ACCEPTED_SHARE, REJECTED_SHARE, FAILED_SHARE, CANCELLED_SHARE = 0.85, 0.10, 0.08, 0.02
REJECT_REASONS = ("TOO_FAR", "VEHICLE_BROKEN", "ENDING_SHIFT")
FAIL_REASONS = ("CUSTOMER_UNREACHABLE", "WRONG_ADDRESS", "CUSTOMER_REFUSED")
SPEED_M_PER_S = 6.0
# Whose numbers 555-0100 to 555-0199 are kept free for fiction.
FICTION_AREAS = (202, 303, 404, 415, 512, 617, 702, 808)
# One partner in so many is lent by a network.
LENT_EVERY = 8
MERCHANTS = ("Meera Groceries", "Chai & Samosa", "Kaveri Pharmacy", "Banyan Books", "Lotus Electronics")
FIRST_NAMES = (
    "Aarav", "Aditi", "Arjun", "Bhavna", "Chetan", "Deepa", "Farhan", "Gauri", "Harish", "Isha", "Jatin", "Kavya",
    "Lakshmi", "Manoj", "Nisha", "Omkar", "Pooja", "Rahul", "Sana", "Tarun", "Uma", "Vikram", "Yash", "Zoya",
)  # fmt: skip
CAPACITIES: dict[str, Json] = {
    "VEHICLE_BICYCLE": {"parcelsMax": 3, "weightGMax": "15000", "volumeCm3Max": "60000", "sideMmMax": 600},
    "VEHICLE_MOTORCYCLE": {"parcelsMax": 5, "weightGMax": "30000", "volumeCm3Max": "120000", "sideMmMax": 700},
    "VEHICLE_THREE_WHEELER": {"parcelsMax": 20, "weightGMax": "300000", "volumeCm3Max": "1500000", "sideMmMax": 1500},
}

# What a delivery earns, by vehicle: base, and a km. Taxes: 18 % GST on the fee, 1 % withheld from the partner.
PAY_PAISE: dict[str, tuple[int, int]] = {
    "VEHICLE_BICYCLE": (2_000, 900),
    "VEHICLE_MOTORCYCLE": (2_500, 800),
    "VEHICLE_THREE_WHEELER": (4_000, 1_200),
}
RATES_SINCE = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class City:
    """A city: its center, the radius that is served, and its share of the orders (its people, in millions)."""

    code: str
    name: str
    lat: float
    lng: float
    radius_m: int
    weight: float


CITIES = (
    City("MUM", "Mumbai", 19.076, 72.878, 30_000, 20.7), City("DEL", "Delhi", 28.614, 77.209, 35_000, 18.6),
    City("BLR", "Bengaluru", 12.972, 77.595, 30_000, 13.2), City("HYD", "Hyderabad", 17.385, 78.487, 30_000, 10.5),
    City("CCU", "Kolkata", 22.573, 88.364, 25_000, 14.9), City("MAA", "Chennai", 13.083, 80.271, 25_000, 11.5),
    City("AMD", "Ahmedabad", 23.023, 72.571, 25_000, 8.4), City("PNQ", "Pune", 18.520, 73.857, 25_000, 6.9),
    City("STV", "Surat", 21.170, 72.831, 20_000, 7.8), City("JAI", "Jaipur", 26.912, 75.787, 20_000, 4.1),
    City("LKO", "Lucknow", 26.847, 80.946, 20_000, 3.9), City("KNU", "Kanpur", 26.450, 80.332, 18_000, 3.2),
    City("NAG", "Nagpur", 21.146, 79.088, 18_000, 3.0), City("IDR", "Indore", 22.720, 75.858, 18_000, 3.3),
    City("BHO", "Bhopal", 23.260, 77.413, 18_000, 2.5), City("PAT", "Patna", 25.594, 85.138, 16_000, 2.6),
    City("BDQ", "Vadodara", 22.307, 73.181, 16_000, 2.2), City("COK", "Kochi", 9.931, 76.267, 18_000, 3.3),
    City("CJB", "Coimbatore", 11.017, 76.956, 16_000, 3.0), City("VTZ", "Visakhapatnam", 17.687, 83.218, 18_000, 2.3),
    City("IXC", "Chandigarh", 30.733, 76.779, 14_000, 1.2), City("GAU", "Guwahati", 26.144, 91.736, 16_000, 1.2),
    City("BBI", "Bhubaneswar", 20.296, 85.825, 16_000, 1.2), City("RPR", "Raipur", 21.251, 81.630, 14_000, 1.8),
    City("TRV", "Thiruvananthapuram", 8.524, 76.936, 16_000, 2.8),
)  # fmt: skip
BY_CODE = {city.code: city for city in CITIES}


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next to a delivery: after a while, at a place along the way (0 pickup, 1 drop)."""

    after_s: float
    state: str
    reason: str = ""


def chance_of(*names: object) -> random.Random:
    """Return the randomness of one thing, which is the same in every run and whatever else happens."""
    return random.Random(":".join(map(str, names)))  # noqa: S311 - a simulation: nothing here is secret


def city_body(city: City) -> Json:
    """Return the request that opens a city."""
    center = _location(city.lat, city.lng)
    return {
        "city": {
            "code": city.code,
            "name": city.name,
            "timeZone": "Asia/Kolkata",
            "center": center,
            "radiusM": city.radius_m,
        }
    }


def rate_card_bodies() -> list[Json]:
    """Return the requests that make the rate cards: for each city and vehicle, with a peak in the evening."""
    return [_rate_card_body(city, vehicle, *pay) for city in CITIES for vehicle, pay in PAY_PAISE.items()]


def merchant_body(number: int) -> Json:
    """Return the request that registers a merchant."""
    return {"name": MERCHANTS[number], "reference": f"demo-merchant-{number + 1}"}


def partner_bodies(seed: int, count: int, network_code: str = "") -> list[Json]:
    """Return the requests that take partners on, spread over the cities by weight, at least one in each.

    One in LENT_EVERY is of the network, where there is one.
    """
    rest = [city.code for city in CITIES]
    chance = chance_of(seed, "partners")
    homes = rest + chance.choices(rest, [city.weight for city in CITIES], k=max(0, count - len(rest)))
    return [
        _partner_body(seed, number, BY_CODE[code], network_code if number % LENT_EVERY == 0 else "")
        for number, code in enumerate(homes[:count], 1)
    ]


def order_body(seed: int, number: int, merchant_ids: Sequence[str], now: datetime) -> Json:
    """Return the request that creates order `number`."""
    chance = chance_of(seed, "order", number)
    city = chance.choices(CITIES, [city.weight for city in CITIES])[0]
    promised = now + timedelta(minutes=chance.randint(45, 180))
    sides = sorted(chance.randint(60, 450) for _ in range(3))
    details: Json = {
        "merchantId": chance.choice(merchant_ids),
        "cityCode": city.code,
        "pickup": _somewhere(chance, city),
        "drop": _somewhere(chance, city),
        "dimensions": dict(zip(("heightMm", "widthMm", "lengthMm"), sides, strict=True)),
        "weightG": chance.randint(100, 8_000),
        "dropWindow": {"start": now.isoformat(), "end": promised.isoformat()},
        "declaredValue": {"currencyCode": "INR", "amountMinor": str(chance.randint(5_000, 500_000))},
    }
    if chance.random() < 0.3:
        details["cashOnDelivery"] = details["declaredValue"]
    return {"details": details, "customer": _customer(chance)}


def _customer(chance: random.Random) -> Json:
    """A customer whom nobody could reach: numbers that are kept free for fiction, and RFC 2606's domain."""
    name, number = chance.choice(FIRST_NAMES), chance.randint(0, 99)
    contact: Json = {"name": name, "language": chance.choice(("en", "hi"))}
    contact["phone"] = f"+1{chance.choice(FICTION_AREAS)}55501{number:02}"
    if chance.random() < 0.5:
        contact["email"] = f"{name.lower()}.{number}@example.com"
    return contact


def answer_to(seed: int, offer_id: str) -> tuple[str, float, str]:
    """Return how a partner answers an offer (accept, reject or nothing at all), after how long, and why it rejects."""
    chance = chance_of(seed, "offer", offer_id)
    said, delay_s = chance.random(), chance.uniform(1, 8)
    if said < ACCEPTED_SHARE:
        return "accept", delay_s, ""
    if said < ACCEPTED_SHARE + REJECTED_SHARE:
        return "reject", delay_s, chance.choice(REJECT_REASONS)
    return "", delay_s, ""


def is_called_off(seed: int, delivery_id: str) -> bool:
    """Return whether the merchant calls the delivery off before its pickup."""
    return chance_of(seed, "cancel", delivery_id).random() < CANCELLED_SHARE


def steps_from(seed: int, delivery_id: str, state: str, ride_s: float) -> list[Step]:
    """Return what still happens to a delivery in `state` whose ride from pickup to drop takes `ride_s`."""
    chance = chance_of(seed, "trip", delivery_id)
    to_pickup_s, stop_s = chance.uniform(120, 600), chance.uniform(60, 180)
    ends: list[Step] = []
    if chance.random() < FAILED_SHARE:
        ends = [Step(ride_s, "ATTEMPT_FAILED", chance.choice(FAIL_REASONS))]
        if chance.random() < 0.5:
            ends += [Step(600, "OUT_FOR_DELIVERY"), Step(stop_s, "DELIVERED")]
        else:
            ends += [Step(stop_s, "RETURNING", ends[0].reason), Step(ride_s, "RETURNED", ends[0].reason)]
    else:
        ends = [Step(ride_s, "DELIVERED")]
    whole = [Step(to_pickup_s, "PICKED_UP"), Step(stop_s, "OUT_FOR_DELIVERY"), *ends]
    states = ["ASSIGNED", *(step.state for step in whole)]
    if state in states:
        # The last mention: one that is out for delivery again is not sent to its first attempt.
        return whole[len(states) - 1 - states[::-1].index(state) :]
    return _endings(state, stop_s, ride_s)


def ride_s(pickup: Json, drop: Json) -> float:
    """Return how long the way from pickup to drop takes."""
    phi_1, phi_2 = math.radians(pickup["latitudeDeg"]), math.radians(drop["latitudeDeg"])
    east = math.radians(drop["longitudeDeg"] - pickup["longitudeDeg"]) * math.cos((phi_1 + phi_2) / 2)
    return max(60.0, EARTH_RADIUS_M * math.hypot(phi_2 - phi_1, east) / SPEED_M_PER_S)


def between(start: Json, end: Json, share: float) -> Json:
    """Return the place at a share of the way."""
    return {name: start[name] + (end[name] - start[name]) * share for name in ("latitudeDeg", "longitudeDeg")}


def _endings(state: str, stop_s: float, ride: float) -> list[Step]:
    """Return how a delivery ends that came into a state its own story does not have."""
    if state == "ATTEMPT_FAILED":
        return [Step(600, "OUT_FOR_DELIVERY"), Step(stop_s, "DELIVERED")]
    return [Step(ride, "RETURNED", "CUSTOMER_REFUSED")] if state == "RETURNING" else []


def _rate_card_body(city: City, vehicle: str, base_paise: int, per_km_paise: int) -> Json:
    evenings = [
        {"weekday": day, "startMin": 18 * 60, "endMin": 22 * 60, "bonusPaise": str(base_paise // 4)} for day in range(7)
    ]
    return {
        "scope": {"cityCode": city.code, "vehicle": vehicle},
        "effectiveFrom": RATES_SINCE,
        "terms": {
            "basePaise": str(base_paise),
            "perKmPaise": str(per_km_paise),
            "perKgPaise": "200",
            "waitPaisePerMin": "100",
            "waitFreeS": 900,
            "waitPaidSMax": 1_800,
            "onTimeBonusPaise": "300",
            "lateGraceS": 600,
            "latePenaltyPaise": "500",
            "guaranteePaisePerH": "10000",
            "merchantMarkupBp": 2_500,
            "gstBp": 1_800,
            "tdsBp": 100,
            "peaks": evenings,
        },
    }


def _partner_body(seed: int, number: int, city: City, network_code: str) -> Json:
    chance = chance_of(seed, "partner", number)
    vehicle = chance.choices(list(CAPACITIES), [0.15, 0.75, 0.10])[0]
    return {
        "profile": {
            # Under a name of its own: a partner that is known keeps the network that it has.
            "reference": f"demo-{network_code}-{city.code}-{number}" if network_code else f"demo-{city.code}-{number}",
            "networkCode": network_code,
            "displayName": f"{chance.choice(FIRST_NAMES)} {number}",
            "cityCode": city.code,
            "vehicle": vehicle,
            "capacity": CAPACITIES[vehicle],
            "home": _somewhere(chance, city),
        },
        "availability": "AVAILABILITY_ONLINE",
    }


def _somewhere(chance: random.Random, city: City) -> Json:
    """Return a place in a city, likelier near its center and never beyond a third of its radius."""
    distance_m = min(abs(chance.gauss(0, 0.12)), 1 / 3) * city.radius_m
    bearing = chance.uniform(0, 2 * math.pi)
    lat = city.lat + math.degrees(distance_m * math.cos(bearing) / EARTH_RADIUS_M)
    lng = city.lng + math.degrees(distance_m * math.sin(bearing) / (EARTH_RADIUS_M * math.cos(math.radians(city.lat))))
    return _location(lat, lng)


def _location(lat: float, lng: float) -> Json:
    return {"latitudeDeg": round(lat, 6), "longitudeDeg": round(lng, 6)}

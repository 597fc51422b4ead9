"""Which reported positions are taken, and why the others are not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from services.assignment.cities.city import City

# Partner id in lower case, latitude and longitude in degrees, milliseconds since 1970. Thousands come every second,
# so they are tuples.
Sighting = tuple[str, float, float, int]


class Refusal(StrEnum):
    """Why a position was not taken."""

    UNKNOWN_PARTNER = "UNKNOWN_PARTNER"
    OUTSIDE_CITY = "OUTSIDE_CITY"
    IN_THE_FUTURE = "IN_THE_FUTURE"
    TOO_OLD = "TOO_OLD"
    INVALID = "INVALID"
    NOT_YOURS = "NOT_YOURS"


def sort_out(
    sightings: Sequence[Sighting | None],
    *,
    city_of: Mapping[str, City],
    only_partner_id: str | None,
    earliest_ms: int,
    latest_ms: int,
) -> tuple[dict[str, list[Sighting]], Counter[Refusal]]:
    """Return the sightings to store by city code, and how many were refused for which reason.

    `city_of` knows the cities of known partners; None is a position that broke its rules; `only_partner_id` limits a
    partner to itself.
    """
    taken: dict[str, list[Sighting]] = {}
    refused: Counter[Refusal] = Counter()
    for sighting in sightings:
        if sighting is None:
            refused[Refusal.INVALID] += 1
            continue
        partner_id, lat, lng, recorded_at_ms = sighting
        city = city_of.get(partner_id)
        if only_partner_id is not None and partner_id != only_partner_id:
            refused[Refusal.NOT_YOURS] += 1
        elif city is None:
            refused[Refusal.UNKNOWN_PARTNER] += 1
        elif recorded_at_ms > latest_ms:
            refused[Refusal.IN_THE_FUTURE] += 1
        elif recorded_at_ms < earliest_ms:
            refused[Refusal.TOO_OLD] += 1
        elif city.distance_from_center_m(lat, lng) > city.radius_m:
            refused[Refusal.OUTSIDE_CITY] += 1
        else:
            taken.setdefault(city.code, []).append(sighting)
    return taken, refused

"""The way of a reported position: which partner, which city, taken or refused, and into the book."""

import time
from collections import Counter
from collections.abc import Sequence

from libs.grpc_server.call import Call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ServiceError
from services.assignment.cities.city import City
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import PartnerNotFoundError
from services.assignment.partners.partner_cities import PartnerCities
from services.assignment.partners.positions import Flush, PositionBook
from services.assignment.partners.sightings import Refusal, Sighting, sort_out

_VIOLATIONS = {
    Refusal.OUTSIDE_CITY: FieldViolation("position.location", "lies outside the partner's city", "city.service_area"),
    Refusal.IN_THE_FUTURE: FieldViolation("position.recorded_at", "lies in the future", "position.future"),
    Refusal.TOO_OLD: FieldViolation("position.recorded_at", "is too long ago to be of use", "position.age_max"),
    Refusal.INVALID: FieldViolation("position", "breaks its rules", "position.valid"),
}


class PositionIntake:
    """Checks positions set by set and puts those that are taken into the book."""

    def __init__(self, database: Database, directory: CityDirectory, book: PositionBook) -> None:
        self._directory = directory
        self._book = book
        self.partner_cities = PartnerCities(database, book.limits)

    async def one(self, call: Call, partner_id: str, sighting: Sighting | None) -> None:
        """Store one position. Raises what refuses it, and PositionsUnavailableError."""
        flush, refused = await self.many(call, [sighting])
        for refusal in refused:
            raise _error_of(refusal, partner_id)
        await flush.ended()

    async def many(self, call: Call, sightings: Sequence[Sighting | None]) -> tuple[Flush, Counter[Refusal]]:
        """Queue positions; return the batch that they are part of, and how many were refused for which reason."""
        own = call.principal.partner_id
        only = own.lower() if own else None
        partner_ids = {sighting[0] for sighting in sightings if sighting is not None}
        codes = await self.partner_cities.of(partner_ids & {only} if only else partner_ids)
        cities: dict[str, City] = {}
        for code in set(codes.values()):
            city = await self._directory.get(code)
            if city is not None:
                cities[code] = city
        now_ms, limits = int(time.time() * 1000), self._book.limits
        taken, refused = sort_out(
            sightings,
            city_of={partner_id: cities[code] for partner_id, code in codes.items() if code in cities},
            only_partner_id=only,
            earliest_ms=now_ms - limits.age_s_max * 1000,
            latest_ms=now_ms + limits.ahead_s_max * 1000,
        )
        return self._book.report(taken) if taken else _nothing(), refused


def _nothing() -> Flush:
    flush = Flush()
    flush.end(None)
    return flush


def _error_of(refusal: Refusal, partner_id: str) -> ServiceError:
    if refusal in _VIOLATIONS:
        return InvalidArgumentError.of(_VIOLATIONS[refusal])
    return PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")

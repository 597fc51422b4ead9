"""Takes reports of positions in: which are believable, and whose city they belong to."""

import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence
from uuid import UUID

from lastmile.assignment.v1 import partner_pb2

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.validation import violations_of
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import PartnerNotFoundError
from services.assignment.partners import store
from services.assignment.partners.positions import Position, PositionBook

INVALID, NOT_YOURS, UNKNOWN_PARTNER, OUTSIDE_CITY, IN_THE_FUTURE, TOO_OLD = (
    "INVALID", "NOT_YOURS", "UNKNOWN_PARTNER", "OUTSIDE_CITY", "IN_THE_FUTURE", "TOO_OLD",
)  # fmt: skip


class PositionIntake:
    """Checks positions and hands the good ones to the book."""

    def __init__(self, database: Database, directory: CityDirectory, book: PositionBook) -> None:
        self._database = database
        self._directory = directory
        self._book = book
        self._cities: OrderedDict[UUID, tuple[str, float]] = OrderedDict()

    async def report_one(self, partner_id: UUID, proto: partner_pb2.Position) -> None:
        """Take one position in; InvalidArgumentError or PartnerNotFoundError says why not."""
        position = _position_from(proto)
        cities = await self._cities_of([partner_id])
        refusal = await self._refusal(partner_id, position, cities)
        if refusal == UNKNOWN_PARTNER:
            raise PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")
        if refusal == OUTSIDE_CITY:
            said = f"lies outside the service area of {cities[partner_id]}"
            raise InvalidArgumentError.of(FieldViolation("position.location", said, "city.service_area"))
        if refusal:
            said = "lies in the future" if refusal == IN_THE_FUTURE else "is too long ago to be used"
            raise InvalidArgumentError.of(FieldViolation("position.recorded_at", said, f"position.{refusal.lower()}"))
        await self._book.report(cities[partner_id], [(partner_id, position)])

    async def report_many(
        self, protos: Sequence[partner_pb2.PartnerPosition], own: str | None
    ) -> tuple[int, Counter[str]]:
        """Take positions in; return how many were good, and the others by reason. `own` limits to one partner."""
        refused: Counter[str] = Counter()
        believed: list[tuple[UUID, Position]] = []
        for proto in protos:
            if own is not None and proto.partner_id != own:
                refused[NOT_YOURS] += 1
            elif violations_of(proto):
                refused[INVALID] += 1
            else:
                believed.append((UUID(proto.partner_id), _position_from(proto.position)))
        cities = await self._cities_of([partner_id for partner_id, _ in believed])
        by_city: dict[str, list[tuple[UUID, Position]]] = {}
        for partner_id, position in believed:
            refusal = await self._refusal(partner_id, position, cities)
            if refusal:
                refused[refusal] += 1
            else:
                by_city.setdefault(cities[partner_id], []).append((partner_id, position))
        for city_code, positions in by_city.items():
            await self._book.report(city_code, positions)
        return sum(map(len, by_city.values())), refused

    async def _refusal(self, partner_id: UUID, position: Position, cities: dict[UUID, str]) -> str:
        now_ms, limits = time.time() * 1000, self._book.limits
        if position.recorded_at_ms > now_ms + limits.ahead_s_max * 1000:
            return IN_THE_FUTURE
        if position.recorded_at_ms < now_ms - limits.age_s_max * 1000:
            return TOO_OLD
        city_code = cities.get(partner_id)
        city = await self._directory.get(city_code) if city_code else None
        if city is None:
            return UNKNOWN_PARTNER
        return "" if city.distance_from_center_m(position.lat, position.lng) <= city.radius_m else OUTSIDE_CITY

    async def _cities_of(self, partner_ids: Collection[UUID]) -> dict[UUID, str]:
        now_s, limits = time.monotonic(), self._book.limits
        known = {i: entry for i in partner_ids if (entry := self._cities.get(i)) and entry[1] > now_s}
        missing = list({i for i in partner_ids if i not in known})
        found = {i: city_code for i, (city_code, _) in known.items()}
        if missing:
            async with self._database.reference_data() as connection:
                read = await store.cities_of(connection, missing)
            if len(read) < len(missing):  # one onboarded a moment ago may not have reached the standby
                async with self._database.reference_data(fresh=True) as connection:
                    read = await store.cities_of(connection, missing)
            for partner_id, city_code in read.items():
                self._cities[partner_id] = (city_code, now_s + limits.city_known_s)
            while len(self._cities) > limits.cities_known_max:
                self._cities.popitem(last=False)
            found.update(read)
        return found


def _position_from(proto: partner_pb2.Position) -> Position:
    recorded_at_ms = proto.recorded_at.seconds * 1000 + proto.recorded_at.nanos // 1_000_000
    return Position(recorded_at_ms, proto.location.latitude_deg, proto.location.longitude_deg)

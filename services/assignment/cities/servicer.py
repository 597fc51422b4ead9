"""CityService: translates between the calls and the noun's store."""

import zoneinfo
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
from lastmile.assignment.v1 import city_pb2, city_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.postgres.log_messages import emit
from services.assignment.cities import store
from services.assignment.cities.codec import changed_event, city_from, city_to, policy_from
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import CityNotFoundError, ReferenceTakenError
from services.assignment.events import LOG_PREFIX

_TIME_ZONES = frozenset(zoneinfo.available_timezones())


class CityServicer(city_pb2_grpc.CityServiceServicer):
    """Answers CityService."""

    def __init__(self, database: Database, directory: CityDirectory) -> None:
        self._database = database
        self._directory = directory

    async def CreateCity(  # noqa: N802 - named by the proto
        self, request: city_pb2.CreateCityRequest, context: Any
    ) -> city_pb2.CreateCityResponse:
        """Open a city."""
        call = current_call()
        if request.city.time_zone not in _TIME_ZONES:
            said = f"{request.city.time_zone!r} is no IANA time zone, such as Asia/Kolkata"
            raise InvalidArgumentError.of(FieldViolation("city.time_zone", said, "time_zone.known"))

        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            city = city_from(request.city, now)
            if await store.create(connection, city):
                await emit(connection, LOG_PREFIX, [changed_event(city, now, call.traceparent)])
            else:
                stored = await store.get(connection, city.code)
                if stored is None or replace(stored, version=1, created_at=now) != city:
                    raise ReferenceTakenError(f"another city has the code {city.code}", metadata={"code": city.code})
                city = stored
            return city_pb2.CreateCityResponse(city=city_to(city)).SerializeToString()

        return city_pb2.CreateCityResponse.FromString(await self._database.run(call, request, effect))

    async def GetCity(  # noqa: N802 - named by the proto
        self, request: city_pb2.GetCityRequest, context: Any
    ) -> city_pb2.GetCityResponse:
        """Return one city."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            city = await store.get(connection, request.code)
        if city is None:
            raise CityNotFoundError(f"no city has the code {request.code}")
        return city_pb2.GetCityResponse(city=city_to(city))

    async def ListCities(  # noqa: N802 - named by the proto
        self, request: city_pb2.ListCitiesRequest, context: Any
    ) -> city_pb2.ListCitiesResponse:
        """List cities in the order of their codes."""
        call, size = current_call(), paging.page_size(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, paging.decode(request) or "", size + 1)
        token = paging.encode(request, found[size - 1].code) if len(found) > size else ""
        return city_pb2.ListCitiesResponse(cities=map(city_to, found[:size]), next_page_token=token)

    async def UpdateCityPolicy(  # noqa: N802 - named by the proto
        self, request: city_pb2.UpdateCityPolicyRequest, context: Any
    ) -> city_pb2.UpdateCityPolicyResponse:
        """Replace a city's matching policy."""
        call = current_call()

        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            city = await store.set_policy(connection, request.code, policy_from(request.policy))
            if city is None:
                raise CityNotFoundError(f"no city has the code {request.code}")
            await emit(connection, LOG_PREFIX, [changed_event(city, now, call.traceparent)])
            return city_pb2.UpdateCityPolicyResponse(city=city_to(city)).SerializeToString()

        return city_pb2.UpdateCityPolicyResponse.FromString(await self._database.run(call, request, effect))

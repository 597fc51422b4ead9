"""CityService: translates between the calls and the noun's rules and store."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
from lastmile.assignment.v1 import city_pb2, city_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import AlreadyExistsError, InvalidArgumentError
from libs.postgres.log_messages import emit
from services.assignment.cities import policies, rules, store
from services.assignment.cities.city import City
from services.assignment.cities.codec import changed_event, city_from, city_to, policy_from, rule_to
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import CityNotFoundError
from services.assignment.events import LOG_PREFIX
from services.assignment.matching.rules.registry import discovered


class CityServicer(city_pb2_grpc.CityServiceServicer):
    """Answers CityService."""

    def __init__(self, database: Database, directory: CityDirectory) -> None:
        self._database = database
        self._directory = directory

    async def CreateCity(  # noqa: N802 - named by the proto
        self, request: city_pb2.CreateCityRequest, context: Any
    ) -> city_pb2.CreateCityResponse:
        """Open a city."""
        call, now = current_call(), datetime.now(UTC)
        city = city_from(request.city, now)
        violations = rules.violations_of(city) + policies.violations_of(city.policy, "city.policy")
        if violations:
            raise InvalidArgumentError.of(*violations)
        written: list[City] = []

        async def effect(connection: asyncpg.Connection) -> bytes:
            holder = await store.create(connection, city, changed_event(city, now, call.traceparent))
            if holder is not None and not rules.same_content(city, holder):
                raise AlreadyExistsError(
                    f"city {city.code} exists with other content", reason="CITY_EXISTS", metadata={"code": city.code}
                )
            written.append(holder or city)
            return city_pb2.CreateCityResponse(city=city_to(holder or city)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        self._directory.learn(written)
        return city_pb2.CreateCityResponse.FromString(response)

    async def GetCity(  # noqa: N802 - named by the proto
        self, request: city_pb2.GetCityRequest, context: Any
    ) -> city_pb2.GetCityResponse:
        """Return one city."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            city = await store.get(connection, request.code)
        return city_pb2.GetCityResponse(city=city_to(_found(city, request.code)))

    async def ListCities(  # noqa: N802 - named by the proto
        self, request: city_pb2.ListCitiesRequest, context: Any
    ) -> city_pb2.ListCitiesResponse:
        """List cities in the order of their codes."""
        call, size = current_call(), paging.page_size(request)
        after_code = paging.decode(request) or ""
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, after_code, size + 1)
        page = found[:size]
        token = paging.encode(request, page[-1].code) if len(found) > size else ""
        return city_pb2.ListCitiesResponse(cities=map(city_to, page), next_page_token=token)

    async def UpdateCityPolicy(  # noqa: N802 - named by the proto
        self, request: city_pb2.UpdateCityPolicyRequest, context: Any
    ) -> city_pb2.UpdateCityPolicyResponse:
        """Replace a city's matching policy."""
        call, now = current_call(), datetime.now(UTC)
        policy = policy_from(request.policy)
        violations = policies.violations_of(policy, "policy")
        if violations:
            raise InvalidArgumentError.of(*violations)
        written: list[City] = []

        async def effect(connection: asyncpg.Connection) -> bytes:
            replaced = await store.replace_policy(connection, request.code, policy)
            city = _found(replaced, request.code)
            await emit(connection, LOG_PREFIX, [changed_event(city, now, call.traceparent)])
            written.append(city)
            return city_pb2.UpdateCityPolicyResponse(city=city_to(city)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        self._directory.learn(written)
        return city_pb2.UpdateCityPolicyResponse.FromString(response)

    async def ListMatchingRules(  # noqa: N802 - named by the proto
        self, request: city_pb2.ListMatchingRulesRequest, context: Any
    ) -> city_pb2.ListMatchingRulesResponse:
        """List the matching rules in the order of their names."""
        size, after_name = paging.page_size(request), paging.decode(request) or ""
        found = [kind for name, kind in sorted(discovered().items()) if name > after_name]
        token = paging.encode(request, found[size - 1].name) if len(found) > size else ""
        return city_pb2.ListMatchingRulesResponse(rules=map(rule_to, found[:size]), next_page_token=token)


def _found(city: City | None, code: str) -> City:
    if city is None:
        raise CityNotFoundError(f"no city has the code {code}")
    return city

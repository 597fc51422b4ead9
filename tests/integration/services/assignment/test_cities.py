"""Cities and merchants in a real database."""

import asyncio
from typing import Any

import pytest
from lastmile.assignment.v1 import city_pb2, merchant_pb2

from libs.grpc_server.errors import AlreadyExistsError, InvalidArgumentError
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from services.assignment.cities import store
from services.assignment.cities.city import MatchingPolicy
from services.assignment.cities.directory import CityDirectory
from services.assignment.cities.servicer import CityServicer
from services.assignment.database import SERVICE, Database
from services.assignment.errors import CityNotFoundError, MerchantNotFoundError, ReferenceTakenError
from services.assignment.merchants.servicer import MerchantServicer
from tests.integration.services.assignment.conftest import city_proto


@pytest.fixture
def cities(database: Database, directory: CityDirectory) -> CityServicer:
    return CityServicer(database, directory)


@pytest.fixture
def merchants(database: Database) -> MerchantServicer:
    return MerchantServicer(database)


async def test_a_city_that_is_created_again_is_the_same(cities, answer) -> None:
    request = city_pb2.CreateCityRequest(city=city_proto())
    first, second = [await answer(cities.CreateCity, request) for _ in range(2)]
    assert first == second
    assert first.city.policy.window_ms == MatchingPolicy().window_ms
    request.city.name = "Another"
    with pytest.raises(AlreadyExistsError):
        await answer(cities.CreateCity, request)


async def test_a_city_needs_a_real_time_zone(cities, answer) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await answer(cities.CreateCity, city_pb2.CreateCityRequest(city=city_proto(time_zone="Mars/Base")))
    assert refused.value.violations[0].field == "city.time_zone"


async def test_a_new_city_is_known_at_once_and_everywhere(database, cities, answer) -> None:
    elsewhere = CityDirectory(database, 60.0)
    assert await elsewhere.get("NOWHERE") is None
    code = (await answer(cities.CreateCity, city_pb2.CreateCityRequest(city=city_proto()))).city.code
    found = await elsewhere.get(code)
    assert found is not None
    assert found.code == code


async def test_unknown_codes_ask_the_primary_together(database, monkeypatch) -> None:
    reads = 0
    every = store.every

    async def counted(connection: Any) -> Any:
        nonlocal reads
        reads += 1
        return await every(connection)

    monkeypatch.setattr(store, "every", counted)
    directory = CityDirectory(database, 60.0)
    assert await asyncio.gather(*(directory.get(f"NO{n}") for n in range(500))) == [None] * 500
    assert reads <= 3


async def test_a_new_policy_is_read_back_with_the_commands_token(cities, answer) -> None:
    code = (await answer(cities.CreateCity, city_pb2.CreateCityRequest(city=city_proto()))).city.code
    policy = city_pb2.MatchingPolicy(window_ms=100, window_deliveries_max=7, pickup_distance_m_max=900, offer_ttl_s=30)
    sent: dict[str, str] = {}
    await answer(cities.UpdateCityPolicy, city_pb2.UpdateCityPolicyRequest(code=code, policy=policy), sent=sent)
    read = await answer(cities.GetCity, city_pb2.GetCityRequest(code=code), token=sent["consistency-token"])
    assert read.city.policy == policy
    with pytest.raises(CityNotFoundError):
        await answer(cities.UpdateCityPolicy, city_pb2.UpdateCityPolicyRequest(code="NOWHERE", policy=policy))


async def test_cities_are_listed_page_by_page_in_the_order_of_their_codes(database, cities, answer) -> None:
    sent: dict[str, str] = {}
    for _ in range(3):
        await answer(cities.CreateCity, city_pb2.CreateCityRequest(city=city_proto()), sent=sent)
    listed: list[str] = []
    page_token = ""
    while True:
        page = await answer(
            cities.ListCities,
            city_pb2.ListCitiesRequest(page_size=2, page_token=page_token),
            token=sent["consistency-token"],
        )
        listed += [city.code for city in page.cities]
        page_token = page.next_page_token
        if not page_token:
            break
    async with database.command(SERVICE) as connection:
        assert set(listed) == {city.code for city in await store.every(connection)}
    assert len(listed) == len(set(listed))


async def test_a_merchants_reference_is_its_own(merchants, answer) -> None:
    request = merchant_pb2.CreateMerchantRequest(name="Shop", reference=str(new_id()))
    outcomes = await asyncio.gather(
        *(answer(merchants.CreateMerchant, request) for _ in range(10)), return_exceptions=True
    )
    (winner,) = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, ReferenceTakenError)]
    assert len(refused) == 9
    assert {error.metadata["merchant_id"] for error in refused} == {winner.merchant.id}


async def test_a_key_makes_one_merchant(merchants, answer) -> None:
    request = merchant_pb2.CreateMerchantRequest(name="Shop", reference=str(new_id()))
    sent: dict[str, str] = {}
    key = str(new_id())
    first = await answer(merchants.CreateMerchant, request, key=key)
    assert await answer(merchants.CreateMerchant, request, key=key, sent=sent) == first
    assert sent["idempotent-replayed"] == "true"


async def test_a_merchant_sees_itself_only(merchants, answer) -> None:
    sent: dict[str, str] = {}
    own, other = [
        (
            await answer(
                merchants.CreateMerchant,
                merchant_pb2.CreateMerchantRequest(name="S", reference=str(new_id())),
                sent=sent,
            )
        ).merchant
        for _ in range(2)
    ]
    principal = Principal("m", Role.MERCHANT, merchant_id=own.id)
    token = sent["consistency-token"]
    get = merchant_pb2.GetMerchantRequest
    assert (
        await answer(merchants.GetMerchant, get(merchant_id=own.id), principal=principal, token=token)
    ).merchant == own
    with pytest.raises(MerchantNotFoundError):
        await answer(merchants.GetMerchant, get(merchant_id=other.id), principal=principal, token=token)
    found = await answer(
        merchants.ListMerchants, merchant_pb2.ListMerchantsRequest(reference=other.reference), token=token
    )
    assert list(found.merchants) == [other]

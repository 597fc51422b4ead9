"""Live positions in a real Valkey: the latest of each partner, whoever wrote it, however many at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import partner_pb2
from lastmile.common.v1 import geo_pb2

from libs.grpc_server.errors import InvalidArgumentError
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from services.assignment.errors import PartnerNotFoundError, PositionsUnavailableError
from services.assignment.events import timestamp
from services.assignment.partners.positions import Position, PositionBook, PositionLimits
from services.assignment.partners.sightings import Sighting
from tests.integration.services.assignment.conftest import Answer
from tests.integration.services.assignment.test_partners import onboarding

HERE = (12.97, 77.59)


def now_ms() -> int:
    return int(time.time() * 1000)


def position(at: datetime | None = None, lat: float = HERE[0], lng: float = HERE[1]) -> partner_pb2.Position:
    return partner_pb2.Position(
        location=geo_pb2.Location(latitude_deg=lat, longitude_deg=lng), recorded_at=timestamp(at or datetime.now(UTC))
    )


async def stream(
    *messages: Iterable[tuple[str, partner_pb2.Position]],
) -> AsyncIterator[partner_pb2.ReportPositionsRequest]:
    for message in messages:
        rows = [partner_pb2.PartnerPosition(partner_id=partner, position=at) for partner, at in message]
        yield partner_pb2.ReportPositionsRequest(positions=rows)


@pytest.fixture
async def partner_ids(partners, city_code: str, answer: Answer) -> list[str]:
    rows = [onboarding(city_code) for _ in range(3)]
    batch = partner_pb2.BatchOnboardPartnersRequest(requests=rows)
    return [row.partner.id for row in (await answer(partners.BatchOnboardPartners, batch)).results]


async def test_a_partner_that_was_just_onboarded_reports_at_once(partners, book, city_code, answer) -> None:
    partner_id = (await answer(partners.OnboardPartner, onboarding(city_code))).partner.id
    me = Principal("p", Role.PARTNER, partner_id=partner_id)
    request = partner_pb2.ReportPositionRequest(partner_id=partner_id, position=position())
    await answer(partners.ReportPosition, request, principal=me)
    found = (await book.read_city(city_code))[UUID(partner_id)]
    assert (found.lat, found.lng) == HERE
    assert found.recorded_at_ms == request.position.recorded_at.ToMilliseconds()


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (lambda now: position(now + timedelta(seconds=90)), "position.recorded_at"),
        (lambda now: position(now - timedelta(seconds=150)), "position.recorded_at"),
        (lambda now: position(now, lat=28.6, lng=77.2), "position.location"),
    ],
)
async def test_a_position_that_cannot_be_is_refused(partners, partner_ids, answer, bad, field: str) -> None:
    request = partner_pb2.ReportPositionRequest(partner_id=partner_ids[0], position=bad(datetime.now(UTC)))
    with pytest.raises(InvalidArgumentError) as refused:
        await answer(partners.ReportPosition, request)
    assert refused.value.violations[0].field == field


async def test_a_partner_reports_for_itself_only(partners, partner_ids, answer) -> None:
    me = Principal("p", Role.PARTNER, partner_id=partner_ids[0])
    for stranger in (partner_ids[1], str(new_id())):
        request = partner_pb2.ReportPositionRequest(partner_id=stranger, position=position())
        with pytest.raises(PartnerNotFoundError):
            await answer(partners.ReportPosition, request, principal=me)


async def test_a_stream_skips_and_counts_what_is_bad(partners, book, partner_ids, city_code, answer) -> None:
    now = datetime.now(UTC)
    good = [(partner_id.upper(), position(now)) for partner_id in partner_ids]
    bad = [
        ("nobody", position(now)),
        (partner_ids[0], partner_pb2.Position()),
        (partner_ids[0], position(now, lat=float("nan"))),
        (str(new_id()), position(now)),
        (partner_ids[0], position(now, lat=28.6, lng=77.2)),
        (partner_ids[0], position(now + timedelta(hours=1))),
        (partner_ids[0], position(now - timedelta(hours=1))),
    ]
    response = await answer(partners.ReportPositions, stream(good[:1] + bad, good[1:], []))
    assert response.accepted_count == 3
    assert dict(response.refused_counts) == {
        "INVALID": 3, "UNKNOWN_PARTNER": 1, "OUTSIDE_CITY": 1, "IN_THE_FUTURE": 1, "TOO_OLD": 1,
    }  # fmt: skip
    assert set(await book.read_city(city_code)) == {UUID(partner_id) for partner_id in partner_ids}
    me = Principal("p", Role.PARTNER, partner_id=partner_ids[0])
    response = await answer(partners.ReportPositions, stream(good), principal=me)
    assert (response.accepted_count, dict(response.refused_counts)) == (1, {"NOT_YOURS": 2})


async def test_the_latest_position_stays_whichever_process_wrote_it(
    redis_client: redis.Redis, book: PositionBook
) -> None:
    other = PositionBook(redis_client, PositionLimits())
    running = asyncio.create_task(other.run())
    city_code, partner_id, at_ms = str(new_id()), str(new_id()), now_ms()
    moments = [at_ms + shift for shift in (5, 40, 10, 3, 39, 40, 0)]
    for place, moment in enumerate(moments):
        sighting: Sighting = (partner_id, float(place), 0.0, moment)
        await (book, other)[place % 2].report({city_code: [sighting]}).ended()
    await other.close()
    await running
    # Of two of one moment, the one that came last.
    assert await book.read_city(city_code) == {UUID(partner_id): Position(5.0, 0.0, at_ms + 40)}


async def test_many_reports_at_once_share_their_writes(book: PositionBook) -> None:
    city_code, partner_ids, at_ms = str(new_id()), [str(new_id()) for _ in range(1_500)], now_ms()
    flushes = {
        book.report({city_code: [(partner_id, 1.0, 2.0, at_ms + step)]})
        for step in (2, 1, 3)
        for partner_id in partner_ids
    }
    await asyncio.gather(*(flush.ended() for flush in flushes))
    assert len(flushes) == 1
    assert await book.read_city(city_code) == {UUID(p): Position(1.0, 2.0, at_ms + 3) for p in partner_ids}


async def test_a_position_that_is_no_longer_fresh_is_not_read(book: PositionBook) -> None:
    city_code, at_ms = str(new_id()), now_ms()
    old, fresh = str(new_id()), str(new_id())
    age_ms = book.limits.age_s_max * 1000
    sightings = [(old, 1.0, 2.0, at_ms - age_ms - 1), (fresh, 1.0, 2.0, at_ms - age_ms // 2)]
    await book.report({city_code: sightings}).ended()
    assert set(await book.read_city(city_code)) == {UUID(fresh)}


async def test_without_redis_positions_are_unavailable_and_said_so() -> None:
    async with redis.from_url("redis://127.0.0.1:1/0") as nowhere:
        book = PositionBook(nowhere, PositionLimits(waiting_max=2))
        running = asyncio.create_task(book.run())
        sightings: list[Sighting] = [(str(new_id()), 1.0, 2.0, now_ms()) for _ in range(2)]
        flush = book.report({"BLR": sightings})
        with pytest.raises(PositionsUnavailableError):
            book.report({"BLR": sightings})
        with pytest.raises(PositionsUnavailableError):
            await flush.ended()
        with pytest.raises(PositionsUnavailableError):
            await book.read_city("BLR")
        await book.close()
        await running

"""A running matcher: matches from events alone, goes on without Redis, and lets a bug stop one city and no other."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2
from prometheus_client import REGISTRY

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from services.assignment.matching.assignment import NotOptimalError
from services.assignment.picture import follower, source
from services.assignment.picture import store as picture_store
from services.assignment.picture.settings import PictureLimits
from services.assignment.windows import window
from services.assignment.windows.matcher import run_matcher
from services.assignment.windows.settings import MatcherSettings
from tests.assignment_api import AssignmentApi, Caller, capacity, place, until

AUTOMATIC = partner_pb2.ACCEPTANCE_AUTOMATIC
OFFERED = delivery_pb2.DELIVERY_STATE_OFFERED
ASSIGNED = delivery_pb2.DELIVERY_STATE_ASSIGNED


def settings_of(servers: EmbeddedServers, **changes: Any) -> MatcherSettings:
    ports = free_ports(2)
    given: dict[str, Any] = {
        "matcher_port": ports[0],
        "matcher_metrics_port": ports[1],
        "matcher_dsn": servers.dsn("assignment_matcher"),
        "redis_url": servers.redis_url,
        "matcher_lease_renew_s": 0.1,
        "matcher_tick_ms": 20,
        "matcher_retry_s_min": 0.1,
        "matcher_retry_s_max": 0.2,
        "matcher_failure_wait_s_min": 0.1,
        # What runs for so long without a bug counts as well again: a busy machine must not seem to.
        "matcher_failure_wait_s_max": 3.0,
    }
    return MatcherSettings(**(given | changes))


@asynccontextmanager
async def matching(settings: MatcherSettings) -> AsyncIterator[MatcherSettings]:
    stop = asyncio.Event()
    running = asyncio.create_task(run_matcher(settings, stop))
    try:
        yield settings
    finally:
        stop.set()
        await running


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def reaches(ops: Caller, delivery_id: str, state: int) -> None:
    async def reached() -> bool:
        return (await ops.get(delivery_id)).state == state

    await until(reached)


@pytest.mark.usefixtures("relay")
async def test_partners_and_deliveries_are_matched_that_only_events_have_told_of(
    ops: Caller, embedded_servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Comparisons read the database, and when a city's first one is depends on its code.
    limits = PictureLimits(reconcile_s=86_400)
    async with matching(settings_of(embedded_servers, matcher_picture=limits)):
        city, merchant = await ops.city(), await ops.merchant()
        await ops.partner(city, acceptance=AUTOMATIC, capacity=capacity(1))
        await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)

        def never(*_: object) -> None:
            raise AssertionError("read from the database")

        # The picture stands. From here on nothing may be read that an event, or a commit of its own, has told.
        monkeypatch.setattr(picture_store, "read_city", never)
        monkeypatch.setattr(picture_store, "read_some", never)
        far = await ops.delivery(city, merchant, pickup=place(13.10, 77.60), drop=place(13.11, 77.60))

        async def stays() -> str:
            return (await ops.get(far)).unassigned_reason

        assert await until(stays) in {"NO_PARCELS_LEFT", "NO_PARTNERS"}
        near_it = await ops.partner(city, acceptance=AUTOMATIC, home=place(13.10, 77.60))
        await reaches(ops, far, ASSIGNED)
        assert (await ops.get(far)).partner_id == near_it
        # Rejected offers, cancelled deliveries and partners who go offline are told too.
        asked = await ops.partner(city, home=place(12.90, 77.50), capacity=capacity(1))
        where = {"pickup": place(12.90, 77.50), "drop": place(12.91, 77.50)}
        first = await ops.delivery(city, merchant, **where)
        offer = await ops.open_offer(first)
        assert offer.partner_id == asked
        await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=first))
        second = await ops.delivery(city, merchant, **where)
        offer = await ops.open_offer(second)
        await ops.ask(ops.assignments.RejectOffer, assignment_pb2.RejectOfferRequest(offer_id=offer.id))

        async def declined() -> bool:
            return (await ops.get(second)).unassigned_reason not in ("", "OFFER_REJECTED")

        await until(declined)
        await ops.ask(
            ops.partners.SetAvailability,
            partner_pb2.SetAvailabilityRequest(partner_id=asked, availability=partner_pb2.AVAILABILITY_OFFLINE),
        )
        third = await ops.partner(city, acceptance=AUTOMATIC, home=place(12.90, 77.50))
        await reaches(ops, second, ASSIGNED)
        assert (await ops.get(second)).partner_id == third


async def test_matching_goes_on_while_redis_is_away(
    ops: Caller, embedded_servers: EmbeddedServers, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = f"redis://127.0.0.1:{free_ports(1)[0]}/0"
    limits = PictureLimits(without_events_s=0.2)
    async with matching(settings_of(embedded_servers, redis_url=nobody, matcher_picture=limits)):
        city, merchant = await ops.city(), await ops.merchant()
        await ops.partner(city, acceptance=AUTOMATIC, capacity=capacity(9))
        for _ in range(3):
            await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)
    assert {"no events", "positions not read"} <= {record.message for record in caplog.records}


async def is_serving(settings: MatcherSettings) -> bool:
    async with grpc.aio.insecure_channel(f"{settings.host}:{settings.matcher_port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def failures(city: str) -> float:
    return REGISTRY.get_sample_value("lastmile_matcher_failures_total", {"city": city}) or 0.0


@pytest.mark.usefixtures("relay")
async def test_a_bug_stops_its_city_loudly_and_no_other(
    ops: Caller, embedded_servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    match: Callable[..., Any] = window.match_window
    # Parcels of this weight are what the bug is about.
    broken_g = 4_321

    def match_or_break(problem: Any, *others: Any, **more: Any) -> Any:
        if broken_g in problem.packages.weight_g:
            raise NotOptimalError("made up")
        return match(problem, *others, **more)

    monkeypatch.setattr(window, "match_window", match_or_break)
    async with matching(settings_of(embedded_servers)) as settings:
        sick, well, merchant = await ops.city(), await ops.city(), await ops.merchant()
        for city in (sick, well):
            await ops.partner(city, acceptance=AUTOMATIC, capacity=capacity(9))
        hurt = await ops.delivery(sick, merchant, weight_g=broken_g)

        async def failed() -> bool:
            return failures(sick) >= 3

        await until(failed)
        await reaches(ops, await ops.delivery(well, merchant), ASSIGNED)
        assert await is_serving(settings)
        assert failures(well) == 0
        assert REGISTRY.get_sample_value("lastmile_matcher_city_failing", {"city": sick}) == 1
        shown = [record for record in caplog.records if record.message == "a city fails" and record.city == sick]
        waits_s = [record.again_after_s for record in shown]
        assert waits_s[:3] == [0.1, 0.2, 0.4]
        assert all(record.levelno == logging.ERROR and record.exc_info for record in shown)
        monkeypatch.setattr(window, "match_window", match)
        await reaches(ops, hurt, ASSIGNED)

        async def is_well() -> bool:
            return REGISTRY.get_sample_value("lastmile_matcher_city_failing", {"city": sick}) == 0

        await until(is_well)


@pytest.mark.usefixtures("relay")
async def test_a_bug_in_following_is_waited_for_longer_each_time_though_windows_go_well(
    ops: Caller, embedded_servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def tell_nothing(*_: Any, **__: Any) -> None:
        raise NotOptimalError("made up")

    def failing(city: str) -> float | None:
        return REGISTRY.get_sample_value("lastmile_matcher_city_failing", {"city": city})

    async with matching(settings_of(embedded_servers)):
        city, merchant = await ops.city(), await ops.merchant()
        await ops.partner(city, acceptance=AUTOMATIC, capacity=capacity(99))
        await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)
        monkeypatch.setattr(follower, "told", tell_nothing)

        async def failed() -> bool:
            await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)
            return failures(city) >= 4

        await until(failed)
        waits_s = [r.again_after_s for r in caplog.records if r.message == "a city fails" and r.city == city]
        assert waits_s[:4] == [0.1, 0.2, 0.4, 0.8]
        assert failing(city) == 1
        monkeypatch.undo()

        async def recovered() -> bool:
            return failing(city) == 0

        await until(recovered)


@pytest.mark.usefixtures("relay")
async def test_another_matcher_goes_on_where_one_has_stopped(ops: Caller, embedded_servers: EmbeddedServers) -> None:
    city, merchant = await ops.city(offer_ttl_s=5), await ops.merchant()
    first = await ops.partner(city, capacity=capacity(1))
    async with matching(settings_of(embedded_servers)):
        offered = await ops.delivery(city, merchant)
        await ops.open_offer(offered)
        waiting = await ops.delivery(city, merchant)

        async def stays() -> bool:
            return (await ops.get(waiting)).unassigned_reason == "NO_PARCELS_LEFT"

        await until(stays)
    async with matching(settings_of(embedded_servers)):
        # The offer of the one before expires, and its partner, who is not asked twice, takes what waited.
        await reaches(ops, waiting, OFFERED)
        assert (await ops.get(waiting)).partner_id == first
        second = await ops.partner(city, acceptance=AUTOMATIC)
        await reaches(ops, offered, ASSIGNED)
        assert (await ops.get(offered)).partner_id == second


@pytest.mark.usefixtures("relay")
async def test_a_step_of_a_clock_holds_no_window_up(
    ops: Caller, embedded_servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with matching(settings_of(embedded_servers)):
        city, merchant = await ops.city(), await ops.merchant()
        await ops.partner(city, acceptance=AUTOMATIC, capacity=capacity(9))
        await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)
        # The host's goes back by an hour, or the database's, after a promotion, forward.
        clocks = SimpleNamespace(time=lambda: time.time() - 3_600, monotonic=lambda: time.monotonic() - 3_600)
        monkeypatch.setattr(source, "time", clocks)
        await reaches(ops, await ops.delivery(city, merchant), ASSIGNED)

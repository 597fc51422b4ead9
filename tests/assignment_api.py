"""The assignment service over gRPC for tests: callers of any role, who make what a test needs, valid by default."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lastmile.assignment.v1 import (
    assignment_pb2,
    assignment_pb2_grpc,
    city_pb2,
    city_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
    merchant_pb2,
    merchant_pb2_grpc,
    network_pb2_grpc,
    partner_pb2,
    partner_pb2_grpc,
)
from lastmile.common.v1 import geo_pb2, parcel_pb2, time_pb2

from libs.grpc_server.identity import Principal, Role, TokenSigner

Found = TypeVar("Found")

DEADLINE_S = 15.0
CENTER, NEARBY = (12.9716, 77.5946), (12.9352, 77.6245)
POLICY = {
    "window_ms": 50,
    "window_deliveries_max": 500,
    "pickup_distance_m_max": 8_000,
    "offer_ttl_s": 60,
    "dispatch_horizon_s": 1_800,
    "zone_penalty_s": 300,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error says: its code and reason, and the fields that it names."""

    code: str
    reason: str
    message: str
    metadata: dict[str, str]
    fields: tuple[str, ...]


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return the typed details of an error."""
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad)
    fields = tuple(violation.field for violation in bad.field_violations)
    return Refusal(error.code().name, info.reason, status.message, dict(info.metadata), fields)


async def until(look: Callable[[], Awaitable[Found]], deadline_s: float = DEADLINE_S) -> Found:
    """Return what `look` finds as soon as it finds anything."""
    end_s = time.monotonic() + deadline_s
    while not (found := await look()):
        assert time.monotonic() < end_s, f"still {found!r} after {deadline_s} s"
        await asyncio.sleep(0.02)
    return found


def place(lat: float, lng: float) -> geo_pb2.Location:
    return geo_pb2.Location(latitude_deg=lat, longitude_deg=lng)


def details(city_code: str, merchant_id: str, **changes: Any) -> delivery_pb2.DeliveryDetails:
    """A parcel across the city, due in two hours."""
    window = time_pb2.TimeWindow()
    window.start.FromDatetime(datetime.now(UTC))
    window.end.FromDatetime(datetime.now(UTC) + timedelta(hours=2))
    given: dict[str, Any] = {
        "city_code": city_code,
        "merchant_id": merchant_id,
        "pickup": place(*CENTER),
        "drop": place(*NEARBY),
        "dimensions": parcel_pb2.Dimensions(length_mm=300, width_mm=200, height_mm=150),
        "weight_g": 1_200,
        "drop_window": window,
    }
    return delivery_pb2.DeliveryDetails(**(given | changes))


def profile(city_code: str, **changes: Any) -> partner_pb2.PartnerProfile:
    """Someone on a motorcycle in the city's center with room for four parcels."""
    given: dict[str, Any] = {
        "display_name": "Asha",
        "city_code": city_code,
        "vehicle": parcel_pb2.VEHICLE_MOTORCYCLE,
        "capacity": capacity(4),
        "home": place(*CENTER),
    }
    return partner_pb2.PartnerProfile(**(given | changes))


def capacity(parcels: int, weight_g: int = 30_000, volume_cm3: int = 100_000) -> partner_pb2.Capacity:
    return partner_pb2.Capacity(parcels_max=parcels, weight_g_max=weight_g, volume_cm3_max=volume_cm3, side_mm_max=700)


@dataclass(slots=True)
class Caller:
    """One caller, who reads its own writes. `metadata` is what the last answer came with."""

    channel: grpc.aio.Channel
    token: str
    metadata: dict[str, str] = field(default_factory=dict)
    _seen: str = ""

    @property
    def cities(self) -> Any:
        return city_pb2_grpc.CityServiceStub(self.channel)

    @property
    def merchants(self) -> Any:
        return merchant_pb2_grpc.MerchantServiceStub(self.channel)

    @property
    def partners(self) -> Any:
        return partner_pb2_grpc.PartnerServiceStub(self.channel)

    @property
    def networks(self) -> Any:
        return network_pb2_grpc.PartnerNetworkServiceStub(self.channel)

    @property
    def deliveries(self) -> Any:
        return delivery_pb2_grpc.DeliveryServiceStub(self.channel)

    @property
    def assignments(self) -> Any:
        return assignment_pb2_grpc.AssignmentServiceStub(self.channel)

    async def ask(self, method: Any, request: Any, key: str | None = None) -> Any:
        """Return a method's answer; raises grpc.aio.AioRpcError."""
        sent = [("authorization", f"Bearer {self.token}")]
        sent += [("idempotency-key", key)] if key else []
        sent += [("consistency-token", self._seen)] if self._seen else []
        call = method(request, metadata=sent, timeout=60)
        answer = await call
        self.metadata = {str(name): str(value) for name, value in await call.trailing_metadata()}
        self._seen = self.metadata.get("consistency-token", self._seen)
        return answer

    def reads_after(self, other: "Caller") -> None:
        """See what `other` has written from now on."""
        self._seen = other._seen

    async def refused(self, method: Any, request: Any, key: str | None = None) -> Refusal:
        """Return what a method says against the request."""
        try:
            answer = await self.ask(method, request, key)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"not refused: {answer}")

    async def city(self, **policy: Any) -> str:
        """Open a city of its own for a test, whose windows close at once; return the code."""
        city = city_pb2.City(
            code=f"T{uuid.uuid4().hex[:11].upper()}",
            name="Test",
            time_zone="Asia/Kolkata",
            center=place(*CENTER),
            radius_m=30_000,
            policy=city_pb2.MatchingPolicy(**(POLICY | policy)),
        )
        await self.ask(self.cities.CreateCity, city_pb2.CreateCityRequest(city=city))
        return city.code

    async def set_policy(self, code: str, **policy: Any) -> city_pb2.City:
        """Replace a city's policy; the matcher takes it up within its next renewal."""
        given = city_pb2.MatchingPolicy(**(POLICY | policy))
        request = city_pb2.UpdateCityPolicyRequest(code=code, policy=given)
        return (await self.ask(self.cities.UpdateCityPolicy, request)).city

    async def merchant(self) -> str:
        """Register a merchant; return its id."""
        request = merchant_pb2.CreateMerchantRequest(name="Test", reference=str(uuid.uuid4()))
        return str((await self.ask(self.merchants.CreateMerchant, request)).merchant.id)

    async def partner(self, city_code: str, **changes: Any) -> str:
        """Take a partner on who is online; return the id."""
        request = partner_pb2.OnboardPartnerRequest(
            profile=profile(city_code, **changes), availability=partner_pb2.AVAILABILITY_ONLINE
        )
        return str((await self.ask(self.partners.OnboardPartner, request)).partner.id)

    async def delivery(self, city_code: str, merchant_id: str, **changes: Any) -> str:
        """Create a delivery; return its id."""
        request = delivery_pb2.CreateDeliveryRequest(details=details(city_code, merchant_id, **changes))
        return str((await self.ask(self.deliveries.CreateDelivery, request)).delivery.id)

    async def many_deliveries(self, rows: Sequence[delivery_pb2.DeliveryDetails]) -> list[str]:
        """Create up to 1,000 deliveries; return their ids."""
        requests = [delivery_pb2.CreateDeliveryRequest(details=row) for row in rows]
        request = delivery_pb2.BatchCreateDeliveriesRequest(requests=requests)
        results = (await self.ask(self.deliveries.BatchCreateDeliveries, request)).results
        assert all(result.HasField("delivery") for result in results), results
        return [result.delivery.id for result in results]

    async def get(self, delivery_id: str) -> delivery_pb2.Delivery:
        request = delivery_pb2.GetDeliveryRequest(delivery_id=delivery_id)
        return (await self.ask(self.deliveries.GetDelivery, request)).delivery

    async def offers(self, delivery_id: str, *states: int) -> list[assignment_pb2.Offer]:
        """Return a delivery's offers, newest first."""
        request = assignment_pb2.ListOffersRequest(delivery_id=delivery_id, states=states)
        return list((await self.ask(self.assignments.ListOffers, request)).offers)

    async def open_offer(self, delivery_id: str, after: str = "") -> assignment_pb2.Offer:
        """Return the delivery's open offer, once a matcher has made one; `after` is one that somebody has ended."""

        async def look() -> list[assignment_pb2.Offer]:
            # The standby may not know of the end yet.
            offers = await self.offers(delivery_id, assignment_pb2.OFFER_STATE_OPEN)
            return [offer for offer in offers if offer.id != after]

        return (await until(look))[0]

    async def explanation(self, delivery_id: str) -> assignment_pb2.Explanation:
        request = assignment_pb2.ExplainDeliveryRequest(delivery_id=delivery_id)
        return (await self.ask(self.assignments.ExplainDelivery, request)).explanation


@dataclass(frozen=True, slots=True)
class AssignmentApi:
    """A running api and the key that its callers' tokens are signed with."""

    channel: grpc.aio.Channel
    signer: TokenSigner

    def caller(self, role: Role, **owner: str) -> Caller:
        """A caller of a role; a merchant or partner is told which."""
        token, _ = self.signer.sign(Principal(f"test {role}", role, **owner), datetime.now(UTC))
        return Caller(self.channel, token)

    @property
    def ops(self) -> Caller:
        return self.caller(Role.OPS)

    def merchant(self, merchant_id: str) -> Caller:
        return self.caller(Role.MERCHANT, merchant_id=merchant_id)

    def partner(self, partner_id: str) -> Caller:
        return self.caller(Role.PARTNER, partner_id=partner_id)

"""The demo's traffic: orders come in, offers are answered, partners ride, deliveries end; outages are waited out."""

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.demo import world
from cli.gateway import Gateway, GatewayError, RefusedError

PARTNERS_BATCH_ROWS = 1_000
LIST_ROWS = 500
OFFERS_POLL_S = 1.0
POSITIONS_PER_RIDE = 4
OUTAGE_WAIT_S_MAX = 15.0
LIVE_STATES = ("ASSIGNED", "PICKED_UP", "OUT_FOR_DELIVERY", "ATTEMPT_FAILED", "RETURNING")
Json = dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """How much happens, and how fast a trip's time runs."""

    rate_per_min: float
    seed: int = 1
    partners: int = 150
    # Whose people answer offers themselves; empty for none.
    network_code: str = ""
    time_lapse: float = 20.0
    # Deliveries under way at once: beyond it no more orders come in until some have ended.
    trips_max: int = 5_000
    requests_at_once_max: int = 24


class Traffic:
    """One run of the demo. `counts` tells what has happened."""

    def __init__(self, gateway: Gateway, pace: Pace, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._gateway, self._pace, self._say = gateway, pace, say
        self._partner_ids: set[str] = set()
        self._lent_ids: set[str] = set()
        self._merchant_ids: list[str] = []
        self._trips: set[str] = set()
        self._answered: dict[str, None] = {}
        self._slots = asyncio.Semaphore(pace.requests_at_once_max)

    async def run(self) -> None:
        """Run until cancelled."""
        await self._through_outages(self._set_up)
        self._say(
            f"{len(world.CITIES)} cities, {len(self._merchant_ids)} merchants, {len(self._partner_ids)} partners"
            f"{f' and {len(self._lent_ids)} lent ones' if self._lent_ids else ''}, "
            f"{self._pace.rate_per_min:g} deliveries a minute, trips run {self._pace.time_lapse:g} times faster"
        )
        async with asyncio.TaskGroup() as group:
            await self._through_outages(lambda: self._resume(group))
            group.create_task(self._orders(group))
            group.create_task(self._offers(group))

    async def _set_up(self) -> None:
        known = {city["code"] async for city in self._gateway.pages("/v1/cities", "cities", pageSize=str(LIST_ROWS))}
        for city in world.CITIES:
            if city.code not in known:
                await self._gateway.post("/v1/cities", world.city_body(city))
        await asyncio.gather(*map(self._rate_card, world.rate_card_bodies()))
        self._merchant_ids = [await self._merchant(number) for number in range(len(world.MERCHANTS))]
        bodies = world.partner_bodies(self._pace.seed, self._pace.partners, self._pace.network_code)
        for start in range(0, len(bodies), PARTNERS_BATCH_ROWS):
            batch = bodies[start : start + PARTNERS_BATCH_ROWS]
            answer = await self._gateway.post("/v1/partners:batchOnboard", {"requests": batch})
            for body, result in zip(batch, answer["results"], strict=True):
                ids = self._lent_ids if body["profile"]["networkCode"] else self._partner_ids
                if "partner" in result:
                    ids.add(result["partner"]["id"])
                elif known_id := result["error"].get("metadata", {}).get("partner_id"):
                    ids.add(known_id)
                else:
                    raise GatewayError(f"a partner was refused: {result['error']['message']}")

    async def _rate_card(self, body: Json) -> None:
        try:
            async with self._slots:
                await self._gateway.post("/v1/rate-cards", body)
        except RefusedError as error:
            # Somebody has made rate cards already: those hold.
            if error.reason not in {"RATE_CARD_EXISTS", "RATE_CARD_TOO_LATE"}:
                raise

    async def _merchant(self, number: int) -> str:
        try:
            created = await self._gateway.post("/v1/merchants", world.merchant_body(number))
        except RefusedError as error:
            if error.reason != "REFERENCE_TAKEN":
                raise
            return str(error.problem["metadata"]["merchant_id"])
        return str(created["merchant"]["id"])

    async def _resume(self, group: asyncio.TaskGroup) -> None:
        """Go on with what an earlier run left under way, so that no partner stays full for ever."""
        states = [f"DELIVERY_STATE_{state}" for state in LIVE_STATES]
        for merchant_id in self._merchant_ids:
            listed = self._gateway.pages(
                "/v1/deliveries", "deliveries", merchantId=merchant_id, states=states, pageSize=str(LIST_ROWS)
            )
            async for delivery in listed:
                if len(self._trips) < self._pace.trips_max and delivery["partnerId"] not in self._lent_ids:
                    self._start_trip(group, delivery)

    async def _orders(self, group: asyncio.TaskGroup) -> None:
        # Arrivals are seeded; their times are the clock's, and a run never sends another run's order again.
        chance, first = world.chance_of(self._pace.seed, "arrivals"), int(time.time())
        due_s = time.monotonic()
        for number in itertools.count(first):
            due_s = max(due_s + chance.expovariate(self._pace.rate_per_min / 60), time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if len(self._trips) >= self._pace.trips_max:
                self.counts["held back"] += 1
                continue
            await self._slots.acquire()
            task = group.create_task(self._guarded(self._create(number)))
            task.add_done_callback(lambda _: self._slots.release())

    async def _create(self, number: int) -> None:
        body = world.order_body(self._pace.seed, number, self._merchant_ids, datetime.now(UTC))
        body["details"]["merchantReference"] = f"demo-{uuid.uuid4()}"
        await self._gateway.post("/v1/deliveries", body)
        self.counts["created"] += 1

    async def _offers(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._through_outages(lambda: self._answer_offers(group))
            await asyncio.sleep(OFFERS_POLL_S)

    async def _answer_offers(self, group: asyncio.TaskGroup) -> None:
        listed = await self._gateway.get("/v1/offers", states="OFFER_STATE_OPEN", pageSize=str(LIST_ROWS))
        for offer in listed.get("offers", []):
            if offer["partnerId"] in self._partner_ids and offer["id"] not in self._answered:
                self._answered[offer["id"]] = None
                group.create_task(self._guarded(self._answer(group, offer)))
        for offer_id in list(itertools.islice(self._answered, max(0, len(self._answered) - self._pace.trips_max))):
            del self._answered[offer_id]

    async def _answer(self, group: asyncio.TaskGroup, offer: Json) -> None:
        answer, after_s, reason = world.answer_to(self._pace.seed, offer["id"])
        await asyncio.sleep(after_s)
        if answer == "accept":
            await self._gateway.post(f"/v1/offers/{offer['id']}:accept", {})
            self.counts["accepted"] += 1
            found = await self._gateway.get(f"/v1/deliveries/{offer['deliveryId']}")
            self._start_trip(group, found["delivery"])
        elif answer == "reject":
            await self._gateway.post(f"/v1/offers/{offer['id']}:reject", {"reason": reason})
            self.counts["rejected"] += 1
        else:
            self.counts["ignored"] += 1

    def _start_trip(self, group: asyncio.TaskGroup, delivery: Json) -> None:
        if delivery["id"] not in self._trips:
            self._trips.add(delivery["id"])
            task = group.create_task(self._guarded(self._trip(delivery)))
            task.add_done_callback(lambda _: self._trips.discard(delivery["id"]))

    async def _trip(self, delivery: Json) -> None:
        seed, delivery_id = self._pace.seed, delivery["id"]
        state = delivery["state"].removeprefix("DELIVERY_STATE_")
        pickup, drop = delivery["details"]["pickup"], delivery["details"]["drop"]
        if state == "ASSIGNED" and world.is_called_off(seed, delivery_id):
            await self._gateway.post(f"/v1/deliveries/{delivery_id}:cancel", {"note": "called off by the customer"})
            self.counts["cancelled"] += 1
            return
        for step in world.steps_from(seed, delivery_id, state, world.ride_s(pickup, drop)):
            if step.state in {"DELIVERED", "ATTEMPT_FAILED"}:
                await self._ride(delivery["partnerId"], pickup, drop, step.after_s)
            else:
                await asyncio.sleep(step.after_s / self._pace.time_lapse)
            at = pickup if step.state in {"PICKED_UP", "RETURNED"} else drop
            body = {"state": f"DELIVERY_STATE_{step.state}", "location": at, "reason": step.reason}
            await self._gateway.post(f"/v1/deliveries/{delivery_id}:recordStatus", body)
            self.counts[step.state.lower().replace("_", " ")] += 1

    async def _ride(self, partner_id: str, start: Json, end: Json, ride_s: float) -> None:
        for part in range(1, POSITIONS_PER_RIDE + 1):
            await asyncio.sleep(ride_s / POSITIONS_PER_RIDE / self._pace.time_lapse)
            position = {
                "location": world.between(start, end, part / POSITIONS_PER_RIDE),
                "recordedAt": datetime.now(UTC).isoformat(),
            }
            await self._gateway.post(f"/v1/partners/{partner_id}:reportPosition", {"position": position})

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do one thing; what is refused or unreachable for long is counted, and the traffic goes on."""
        try:
            await work
        except RefusedError as error:
            # Somebody else has moved the delivery on: an expired offer, a cancelled delivery.
            self.counts[f"refused {error.reason}"] += 1
        except GatewayError:
            self.counts["unreachable"] += 1

    async def _through_outages(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something until it has worked, waiting longer each time the gateway cannot be used."""
        for attempt in itertools.count():
            try:
                await work()
            except GatewayError as error:
                wait_s = min(0.5 * 2**attempt, OUTAGE_WAIT_S_MAX)
                self._say(f"waits {wait_s:g} s: {error}")
                await asyncio.sleep(wait_s)
            else:
                return

"""The steady load of the blackout: calls of the API at their times, and how long each took."""

import asyncio
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.notifications import phone_number
from tests.rest import CENTER, Json, details

CREATES_PER_S, READS_PER_S = 4, 16
SLICE_S = 10
SPREAD_DEG = 0.02


@dataclass(slots=True)
class Load:
    """The steady load: calls at their times, whatever became of those before."""

    base_url: str
    headers: dict[str, str]
    merchant_id: str
    city: str
    deliveries: list[str] = field(default_factory=list)
    # When each call was due, and how long it took.
    calls: list[tuple[float, float]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop` is set."""
        beats_per_s = CREATES_PER_S + READS_PER_S
        began_s, number = time.perf_counter(), 0
        async with (
            httpx.AsyncClient(base_url=self.base_url, headers=self.headers, timeout=30) as http,
            asyncio.TaskGroup() as group,
        ):
            while not stop.is_set():
                due_s = began_s + number / beats_per_s
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                is_create = number % (beats_per_s // CREATES_PER_S) == 0
                group.create_task(self._create(http, due_s) if is_create else self._read(http, due_s))
                number += 1

    async def _create(self, http: httpx.AsyncClient, due_s: float) -> None:
        body = {
            "details": details(self.city, merchantId=self.merchant_id, pickup=somewhere(), drop=somewhere()),
            "customer": {"name": "Asha", "phone": phone_number()},
        }
        answer = await self._timed(http.post("/v1/deliveries", json=body), due_s)
        if answer is not None:
            self.deliveries.append(answer["delivery"]["id"])

    async def _read(self, http: httpx.AsyncClient, due_s: float) -> None:
        if self.deliveries:
            await self._timed(http.get(f"/v1/deliveries/{random.choice(self.deliveries)}"), due_s)

    async def _timed(self, call: Any, due_s: float) -> Json | None:
        try:
            response = await call
        except httpx.HTTPError as error:
            self.failed[type(error).__name__] += 1
            return None
        self.calls.append((due_s, (time.perf_counter() - due_s) * 1000))
        if response.status_code != 200:
            self.failed[str(response.status_code)] += 1
            return None
        answer: Json = response.json()
        return answer

    def p99_ms(self, *spans_s: tuple[float, float]) -> float:
        """Return the 99th percentile of the calls that were due in spans of time: the median of those of slices.

        What else the machine does for a moment is in one slice; what an outage does lasts.
        """
        found = []
        for from_s, until_s in spans_s:
            slices = max(1, round((until_s - from_s) / SLICE_S))
            length_s = (until_s - from_s) / slices
            for begins_s in (from_s + index * length_s for index in range(slices)):
                took = sorted(ms for due_s, ms in self.calls if begins_s <= due_s < begins_s + length_s)
                found.append(took[min(len(took) - 1, int(len(took) * 0.99))])
        return statistics.median(found)


def somewhere() -> Json:
    """A place in the city."""
    return {name: value + random.uniform(-SPREAD_DEG, SPREAD_DEG) for name, value in CENTER.items()}

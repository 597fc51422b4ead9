"""The REST API for tests: a client that makes what a test needs, valid unless a test says otherwise."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

Json = dict[str, Any]
Found = TypeVar("Found")

DEADLINE_S = 30.0
POLL_S = 0.05
CENTER = {"latitudeDeg": 12.9716, "longitudeDeg": 77.5946}
NEARBY = {"latitudeDeg": 12.9352, "longitudeDeg": 77.6245}
CAPACITY = {"parcelsMax": 4, "weightGMax": "30000", "volumeCm3Max": "100000", "sideMmMax": 700}


def until(look: Callable[[], Found | None], deadline_s: float = DEADLINE_S) -> Found:
    """Return what `look` finds as soon as it finds anything."""
    end_s = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end_s, f"still {found!r} after {deadline_s} s"
        time.sleep(POLL_S)


def details(city_code: str, **changes: Any) -> Json:
    """A parcel across a city, due in two hours."""
    now = datetime.now(UTC)
    return {
        "cityCode": city_code,
        "pickup": CENTER,
        "drop": NEARBY,
        "dimensions": {"lengthMm": 300, "widthMm": 200, "heightMm": 150},
        "weightG": 1200,
        "dropWindow": {"start": now.isoformat(), "end": (now + timedelta(hours=2)).isoformat()},
    } | changes


class Rest:
    """One caller."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url = base_url
        self.http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def ask(self, verb: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request, whatever comes back; a write is seen by the next read of this client."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.http.request(verb, path, json=body, headers=named)
        if token := response.headers.get("Consistency-Token"):
            self.http.headers["Consistency-Token"] = token
        return response

    def get(self, path: str) -> Json:
        """Return a query's answer."""
        return self._good(self.ask("GET", path))

    def post(self, path: str, body: Any = None) -> Json:
        """Return a command's answer."""
        return self._good(self.ask("POST", path, body or {}))

    def city(self, **policy: int) -> str:
        """Open a city of its own for a test; its windows close at once. Returns the code."""
        code = f"T{uuid.uuid4().hex[:11].upper()}"
        quick = {
            "windowMs": 50,
            "windowDeliveriesMax": 500,
            "pickupDistanceMMax": 8000,
            "offerTtlS": 60,
            "dispatchHorizonS": 1800,
            "zonePenaltyS": 300,
        }
        city = {"code": code, "name": "Test", "timeZone": "Asia/Kolkata", "center": CENTER, "radiusM": 30_000}
        self.post("/v1/cities", {"city": city | {"policy": quick | policy}})
        return code

    def merchant(self) -> str:
        """Register a merchant; returns its id."""
        made = self.post("/v1/merchants", {"name": "Test", "reference": str(uuid.uuid4())})
        return str(made["merchant"]["id"])

    def partner(self, city_code: str, **changes: Any) -> str:
        """Take a partner on who is online in the city's center; returns its id."""
        profile = {
            "displayName": "Asha",
            "cityCode": city_code,
            "vehicle": "VEHICLE_MOTORCYCLE",
            "capacity": CAPACITY,
            "home": CENTER,
        } | changes
        made = self.post("/v1/partners", {"profile": profile, "availability": "AVAILABILITY_ONLINE"})
        return str(made["partner"]["id"])

    def delivery(self, city_code: str, merchant_id: str, **changes: Any) -> str:
        """Create a delivery; returns its id."""
        made = self.post("/v1/deliveries", {"details": details(city_code, merchantId=merchant_id, **changes)})
        return str(made["delivery"]["id"])

    def state(self, delivery_id: str) -> str:
        """Return a delivery's state in one word."""
        found: str = self.get(f"/v1/deliveries/{delivery_id}")["delivery"]["state"]
        return found.removeprefix("DELIVERY_STATE_")

    def live_offer(self, delivery_id: str) -> Json | None:
        """Return the open offer of a delivery, if it has one."""
        offers: list[Json] = self.get(f"/v1/offers?deliveryId={delivery_id}&states=OFFER_STATE_OPEN")["offers"]
        return offers[0] if offers else None

    def key(self, role: str, **owner: str) -> "Rest":
        """Make an API key of a role and return its caller."""
        made = self.post("/v1/apiKeys", {"name": f"test {role}", "role": f"ROLE_{role.upper()}", **owner})
        return Rest(self.base_url, made["secret"])

    @staticmethod
    def _good(response: httpx.Response) -> Json:
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

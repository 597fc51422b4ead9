"""Matchers, the relay and Redis are killed in a seeded order under traffic: the pictures end where the database does.

A matcher compares each of its cities with the database every two seconds. It may find what no event on its way explains
in none of them, at no time.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from libs.embedded.stack import RunningStack
from tests.invariants import broken_invariants
from tests.rest import Rest, until

pytestmark = pytest.mark.timeout(600)
SEED = 20_261_126
CITIES = 3
SHOPPERS = 3
FAULTS = ["assignment-matcher-1", "relay", "valkey", "assignment-matcher-2", "relay", "valkey", "assignment-matcher-1"]
DELIVERIES_BETWEEN_FAULTS = 25
QUIET_S_MAX = 90.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    settings = {
        "LASTMILE_MATCHER_PROCESSES": "2",
        "LASTMILE_MATCHER_LEASE_TTL_S": "2",
        "LASTMILE_MATCHER_LEASE_RENEW_S": "0.5",
        "LASTMILE_MATCHER_PICTURE__RECONCILE_S": "2",
        "LASTMILE_MATCHER_PICTURE__OVERLAP_EVENTS": "50",
        "LASTMILE_RESTART_BACKOFF_S_MIN": "0.5",
        "LASTMILE_RESTART_BACKOFF_S_MAX": "1",
    }
    with RunningStack(tmp_path_factory.mktemp("pictures") / "home", settings) as started:
        yield started


class Shopper:
    """Creates deliveries, and has partners accept, reject, hand back, carry out; cancels some; sends partners home."""

    def __init__(self, stack: RunningStack, cities: list[str], merchant: str, seed: int) -> None:
        self._ops = Rest(stack.base_url, stack.ops_api_key)
        self._cities, self._merchant, self._chance = cities, merchant, random.Random(seed)
        self.over = threading.Event()
        self.made: list[str] = []
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._step()
            except (httpx.HTTPError, AssertionError):
                # Something is dead just now.
                time.sleep(0.05)

    def _step(self) -> None:
        chance, ops = self._chance, self._ops
        self.made.append(ops.delivery(chance.choice(self._cities), self._merchant, weightG=chance.randint(1, 4_000)))
        if chance.random() < 0.1:
            self._ask("cancel", f"/v1/deliveries/{chance.choice(self.made)}:cancel", {})
        offers = ops.ask("GET", "/v1/offers?states=OFFER_STATE_OPEN&pageSize=20").json().get("offers", [])
        for offer in offers:
            if chance.random() < 0.6:
                self._ask("accept", f"/v1/offers/{offer['id']}:accept", {})
            elif chance.random() < 0.5:
                self._ask("reject", f"/v1/offers/{offer['id']}:reject", {"reason": "BUSY"})
        delivery = chance.choice(self.made)
        for state in ("PICKED_UP", "OUT_FOR_DELIVERY", "DELIVERED"):
            self._ask("record", f"/v1/deliveries/{delivery}:recordStatus", {"state": f"DELIVERY_STATE_{state}"})

    def _ask(self, what: str, path: str, body: dict[str, str]) -> None:
        # Most are refused: it is too late for them, or too early.
        self.done[what] += self._ops.ask("POST", path, body).status_code == 200


def compared(stack: RunningStack) -> Counter[str]:
    """Return what the comparisons of both matchers have come to since they were started."""
    found: Counter[str] = Counter()
    for index in range(2):
        url = f"http://{stack.settings.host}:{stack.settings.matcher_metrics_port + index}/metrics"
        for line in httpx.get(url, timeout=5).text.splitlines():
            if line.startswith("lastmile_matcher_reconciled_total{"):
                name = line.split('"')[1]
                found[name] += int(float(line.split()[-1]))
    return found


async def test_no_picture_drifts_whatever_is_killed(stack: RunningStack) -> None:
    chance, ops = random.Random(SEED), Rest(stack.base_url, stack.ops_api_key)
    cities, merchant = [ops.city(offerTtlS=5) for _ in range(CITIES)], ops.merchant()
    for city in cities:
        for place in range(6):
            acceptance = "ACCEPTANCE_AUTOMATIC" if place % 3 == 0 else "ACCEPTANCE_BY_OFFER"
            ops.partner(city, acceptance=acceptance)
    shoppers = [Shopper(stack, cities, merchant, chance.randrange(2**32)) for _ in range(SHOPPERS)]
    threads = [threading.Thread(target=shopper.run) for shopper in shoppers]
    for thread in threads:
        thread.start()
    try:
        for fault in FAULTS:
            enough = sum(len(shopper.made) for shopper in shoppers) + DELIVERIES_BETWEEN_FAULTS
            until(lambda enough=enough: sum(len(s.made) for s in shoppers) >= enough, 120)  # type: ignore[misc]  # bound now
            stack.kill(fault)
            stack.wait_ready()
    finally:
        for shopper in shoppers:
            shopper.over.set()
        for thread in threads:
            thread.join()
    done = sum((shopper.done for shopper in shoppers), Counter[str]())
    assert all(done[what] for what in ("accept", "reject", "cancel", "record")), done
    before = compared(stack)["equal"]
    until(lambda: compared(stack)["equal"] >= before + 2 * CITIES, QUIET_S_MAX)
    assert compared(stack)["drift"] == 0
    assert "the picture had drifted" not in stack.log_text()
    assert not await broken_invariants(stack.dsn())

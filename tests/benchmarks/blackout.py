"""Of three networks and two SMS providers one of each hangs under a steady load: what the others and the API notice."""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import redis.asyncio as redis

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import RunningStack
from libs.resilience.board import read_board
from tests.benchmarks.blackout_load import Load, somewhere
from tests.benchmarks.blackout_peers import (
    PROVIDERS,
    Peer,
    running,
    sender_command,
    sender_environment,
    twilio_command,
)
from tests.benchmarks.report import Row, lower, report
from tests.live import EventSource
from tests.rest import Json, Rest
from tests.sandbox_networks import new_secret

CODES = ("hanging", "second", "third")
PARTNERS_OF_EACH = 25
BEHAVIOUR = json.dumps({"answer_ms": 100, "step_ms": 200})
START_S, SETTLE_S, WITHOUT_S, BLACKOUT_S = 60, 10, 60, 60
# What the case study took, and what is to be kept.
ALERT_TARGET_S, CASE_STUDY_S, RECOVERY_TARGET_S, RATIO_TARGET = 5.0, 48.0, 30.0, 1.2
GIVE_UP_S = 180.0
CHANGED = "lastmile.alert.changed.v1"
# A message that is due for longer than this waits for something.
WAITS_S = 2.0
# The platform's own sender would take up, and give up on, what only the other's providers can tell.
NEVER_S = "86400"
# What is urgent is due at once; the rest may have to wait for the morning.
_WAITING = """
SELECT count(*) FROM notification.messages
WHERE state = 'planned' AND channel = 'sms' AND priority = 0 AND planned_at < now() - make_interval(secs => $1)
"""
_OPEN = """
SELECT count(*) FROM notification.messages
WHERE channel = 'sms' AND priority = 0 AND state NOT IN ('sent', 'delivered')
"""
_TEXTS = """
SELECT m.id, m.state, array(SELECT a.id FROM notification.attempts a WHERE a.message_id = m.id) AS attempts
FROM notification.messages m WHERE m.channel = 'sms' AND (m.priority = 0 OR m.state <> 'planned')
"""
_MAILED = """
SELECT a.ended_at FROM notification.attempts a JOIN notification.messages m ON m.id = a.message_id
WHERE m.delivery_id = $1 AND m.status = 'alert_raised' AND a.state = 'delivered' ORDER BY a.ended_at LIMIT 1
"""


@dataclass(slots=True)
class World:
    """The platform with its peers."""

    stack: RunningStack
    ops: Rest
    networks: dict[str, Peer]
    providers: dict[str, Peer]
    pool: asyncpg.Pool
    cache: redis.Redis

    async def shares(self) -> dict[str, float]:
        """How much of what could be asked is asked, of each network and provider: the least that any process says."""
        found: dict[str, float] = {}
        for one in await read_board(self.cache):
            found[one.dependency] = min(one.share, found.get(one.dependency, 1.0))
        answer = await asyncio.to_thread(self.ops.get, "/v1/partner-networks")
        for network in answer["networks"]:
            name = f"network:{network['code']}"
            found[name] = min(float(network.get("health", 0)), found.get(name, 1.0))
        return found

    async def is_well(self) -> bool:
        """Whether everything is asked for all that it could be, and nothing waits."""
        shares = await self.shares()
        asked = [f"network:{code}" for code in CODES] + [f"notification.{name}" for name in PROVIDERS]
        return all(shares.get(name) == 1.0 for name in asked) and not await self.pool.fetchval(_WAITING, WAITS_S)

    async def not_delivered(self, deliveries: list[str]) -> int:
        """Return how many deliveries have not come all their way."""
        rows = await self.pool.fetch(
            "SELECT id FROM assignment.deliveries WHERE id = ANY ($1::uuid[]) AND state <> 'delivered'", deliveries
        )
        return len(rows)


async def until(condition: Callable[[], Any], give_up_s: float = GIVE_UP_S) -> float:
    """Return how long it took until the condition held; `give_up_s` when it did not."""
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < give_up_s:
        if await condition():
            break
        await asyncio.sleep(0.05)
    return time.perf_counter() - began_s


@contextmanager
def world(folder: Path) -> Iterator[tuple[RunningStack, dict[str, Peer], dict[str, Peer]]]:
    """Start the platform, three networks, two providers and a sender that has both."""
    ports = dict(zip(CODES, free_ports(len(CODES)), strict=True))
    secrets = {code: folder / f"{code}.secret" for code in CODES}
    for path in secrets.values():
        path.write_text(new_secret())
    known = [
        {"code": code, "base_url": f"http://127.0.0.1:{port}", "webhook_secrets": [f"file:{secrets[code]}"]}
        for code, port in ports.items()
    ]
    (folder / "networks.json").write_text(json.dumps(known))
    told = {
        "LASTMILE_NETWORKS_FILE": str(folder / "networks.json"),
        # The text messages are for the sender that has two companies to ask.
        "LASTMILE_NOTIFICATION_ROUTES": json.dumps({"email": ["inbox"]}),
        "LASTMILE_NOTIFICATION_SWEEP__EVERY_S": NEVER_S,
        "LASTMILE_LOG_LEVEL": "WARNING",
    }
    with RunningStack(folder / "home", told) as stack, ExitStack() as peers:
        networks = {}
        for code, port in ports.items():
            command = [sys.executable, "-m", "cli", "sandbox", "network", "--port", str(port), "--seed", "1"]
            command += ["--webhook-url", f"{stack.base_url}/webhooks/partner-networks/{code}"]
            command += ["--secret-file", str(secrets[code]), "--behaviour", BEHAVIOUR]
            networks[code] = peers.enter_context(running(command, stack.environment))
        providers = {name: peers.enter_context(running(twilio_command(), stack.environment)) for name in PROVIDERS}
        health_port, metrics_port = free_ports(2)
        environment = sender_environment(
            {
                "LASTMILE_NOTIFICATION_WORKER_DSN": stack.dsn("notification_worker"),
                "LASTMILE_REDIS_URL": stack.redis_url,
                "LASTMILE_NOTIFICATION_VAULT_FILE": str(stack.vault_file),
                "LASTMILE_NOTIFICATION_SENDER_PORT": str(health_port),
                "LASTMILE_NOTIFICATION_SENDER_METRICS_PORT": str(metrics_port),
                "LASTMILE_LOG_LEVEL": "ERROR",
            },
            {name: peer.url for name, peer in providers.items()},
        )
        peers.enter_context(running(sender_command(), environment))
        yield stack, networks, providers


def furnished(ops: Rest) -> tuple[str, str]:
    """Make a city with partners of every network, and a merchant; have ops be told by e-mail. Returns their ids."""
    contact = {"audience": "AUDIENCE_OPS", "name": "Ops", "email": "ops@example.com"}
    ops.ask("PUT", "/v1/recipients", contact).raise_for_status()
    city = ops.city(windowMs=500)
    for code in CODES:
        for _ in range(PARTNERS_OF_EACH):
            ops.partner(city, networkCode=code, home=somewhere())
    return city, ops.merchant()


async def alerted(source: EventSource, subject: str, since_s: float) -> tuple[float, str]:
    """Return after how many seconds the live stream told of an alert of the subject, and the alert's id."""
    found: list[Json] = []

    async def is_told() -> bool:
        alerts = [event.data["data"]["alert"] for event in source.named(CHANGED)]
        found[:] = [alert for alert in alerts if alert["subject"] == subject]
        return bool(found)

    await until(is_told)
    return time.time() - since_s, found[0]["id"] if found else ""


async def mailed(pool: asyncpg.Pool, alert_id: str, since_s: float) -> float:
    """Return after how many seconds the alert was in the inbox of ops."""

    async def has_arrived() -> bool:
        return bool(alert_id) and await pool.fetchval(_MAILED, alert_id) is not None

    await until(has_arrived, 30)
    at = await pool.fetchval(_MAILED, alert_id) if alert_id else None
    return float("inf") if at is None else at.timestamp() - since_s


async def black_out(one: World, load: Load) -> list[Row]:
    """Let the load settle, measure without, let one of each hang, heal them, and count."""
    name = f"network:{CODES[0]}", f"notification.{PROVIDERS[0]}"
    # Somebody follows all the time: what that costs is no part of the blackout.
    with EventSource(one.stack.base_url, one.stack.ops_api_key) as live:
        await asyncio.sleep(SETTLE_S)
        without_from_s = time.perf_counter()
        await asyncio.sleep(WITHOUT_S)
        began_s, stopped_s = time.time(), time.perf_counter()
        one.networks[CODES[0]].hang()
        one.providers[PROVIDERS[0]].hang()
        told = await asyncio.gather(*(alerted(live, subject, began_s) for subject in name))
        by_mail = [await mailed(one.pool, alert_id, began_s) for _, alert_id in told]
        await asyncio.sleep(max(0.0, BLACKOUT_S - (time.perf_counter() - stopped_s)))
        healed_s = time.perf_counter()
        one.networks[CODES[0]].heal()
        one.providers[PROVIDERS[0]].heal()
        recovery_s = await until(one.is_well)
        again_from_s = time.perf_counter()
        await asyncio.sleep(WITHOUT_S)
    before, after = (without_from_s, stopped_s), (again_from_s, time.perf_counter())
    without_ms, during_ms = load.p99_ms(before, after), load.p99_ms((stopped_s, healed_s))
    return [
        Row("API p99 without, before and after", without_ms, "ms"),
        # What the same load differs by without a blackout: the machine's own.
        Row("API p99 after, to before", load.p99_ms(after) / load.p99_ms(before), "times"),
        lower("API p99 in the blackout, to without", during_ms / without_ms, "times", "target", RATIO_TARGET),
        *(
            lower(f"{subject}: alert by e-mail", seconds, "s", "target", ALERT_TARGET_S)
            for subject, seconds in zip(name, by_mail, strict=True)
        ),
        *(
            lower(f"{subject}: alert on the live stream", seconds, "s", "case study", CASE_STUDY_S)
            for subject, (seconds, _) in zip(name, told, strict=True)
        ),
        lower("recovered after healing", recovery_s, "s", "target", RECOVERY_TARGET_S),
    ]


async def counted(one: World, load: Load) -> list[Row]:
    """Wait until everything has ended; return what was lost and what came twice, by the peers' own records."""

    async def has_ended() -> bool:
        return not await one.not_delivered(load.deliveries) and not await one.pool.fetchval(_OPEN)

    ended_s = await until(has_ended, 120)
    left = await one.not_delivered(load.deliveries)
    taken_back = 0
    for code in CODES[1:]:
        async with httpx.AsyncClient(timeout=60) as http:
            record = (await http.get(f"{one.networks[code].url}/control/record")).json()
        taken_back += sum(offer["ended"] > 0 for offer in record["offers"].values()) + record["given_up"]
    rows = await one.pool.fetch(_TEXTS)
    taken = [text for name in PROVIDERS for text in json.loads(one.providers[name].end().splitlines()[-1])]
    times = Counter((to, body) for to, body, _ in taken)
    attempts = {attempt_id for _, _, attempt_id in taken}
    absent = [row for row in rows if not attempts & {str(attempt) for attempt in row["attempts"]}]
    unknown = sum(row["state"] == "outcome_unknown" for row in absent)
    return [
        Row("everything had ended after another", ended_s, "s"),
        Row("deliveries", len(load.deliveries), "", "not delivered", left),
        Row("offers that other networks lost", taken_back, ""),
        Row("text messages", len(rows), "", "taken by providers", len(taken)),
        Row("text messages sent twice", sum(count - 1 for count in times.values()), ""),
        Row("text messages lost", len(absent) - unknown, "", "listed as unknown", unknown),
        Row("API calls that failed", load.failed.total(), "", "of", len(load.calls)),
    ]


async def main_on(stack: RunningStack, networks: dict[str, Peer], providers: dict[str, Peer]) -> None:
    """Run the whole story, and report."""
    ops = Rest(stack.base_url, stack.ops_api_key)
    city, merchant_id = await asyncio.to_thread(furnished, ops)
    load = Load(stack.base_url, {"Authorization": f"Bearer {stack.ops_api_key}"}, merchant_id, city)
    async with (
        await asyncpg.create_pool(stack.dsn(), min_size=1, max_size=2) as pool,
        redis.from_url(stack.redis_url) as cache,
    ):
        one = World(stack, ops, networks, providers, pool, cache)
        if await until(one.is_well, START_S) >= START_S:
            raise SystemExit(f"not everything is well before the load: {await one.shares()}")
        stop = asyncio.Event()
        loading = asyncio.create_task(load.run(stop))
        rows = await black_out(one, load)
        stop.set()
        await loading
        report("blackout", rows + await counted(one, load))


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lastmile-blackout-") as folder,
        world(Path(folder)) as (stack, networks, providers),
    ):
        asyncio.run(main_on(stack, networks, providers))


if __name__ == "__main__":
    main()

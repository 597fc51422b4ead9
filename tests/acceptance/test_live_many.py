"""Hundreds of clients of /v1/live over HTTP, some of which take nothing: the gateway stays small and quick."""

import asyncio
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from lastmile.assignment.v1 import delivery_pb2
from lastmile.events.v1 import event_pb2

from libs.embedded.stack import RunningStack
from services.assignment.events import event_text
from tests.events import event_bytes, new_city
from tests.relays import commit
from tests.rest import Rest

pytestmark = pytest.mark.timeout(180)
READERS, EVENTS, BATCH = 550, 1_000, 100
STALLED, LARGE_EVENTS, LARGE_BYTES = 20, 800, 20_000
DEADLINE_S = 30.0
# Of each client, with what is on its way to it.
KIB_OF_A_CLIENT_MAX = 400
_ID = re.compile(rb"^event: lastmile\.delivery\.state_changed", re.MULTILINE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    told = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_GATEWAY_LIVE__FOLLOWERS_OF_CALLER_MAX": "1000",
        "LASTMILE_GATEWAY_LIVE__QUEUED_EVENTS_MAX": "300",
        "LASTMILE_GATEWAY_CONNECTION__STALL_TIMEOUT_S": "5",
    }
    with RunningStack(tmp_path_factory.mktemp("many") / "home", told) as started:
        yield started


class RawClient:
    """A connection that counts the events that come over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.events = 0
        self.ended = False
        self._rest = b""

    @classmethod
    async def open(cls, stack: RunningStack, city: str, *, stalls: bool = False) -> "RawClient":
        connection = socket.socket()
        if stalls:
            # Or the kernel would take everything for it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        address = (str(stack.settings.host), stack.settings.gateway_http_port)
        await asyncio.get_running_loop().sock_connect(connection, address)
        reader, writer = await asyncio.open_connection(sock=connection, limit=2_048 if stalls else 2**16)
        request = (
            f"GET /v1/live?cityCode={city} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.ops_api_key}\r\n\r\n"
        )
        writer.write(request.encode())
        head = await reader.readuntil(b"retry: 2000")
        assert head.startswith(b"HTTP/1.1 200"), head
        return cls(reader, writer)

    async def count(self) -> None:
        with suppress(OSError):
            while data := await self.reader.read(2**16):
                whole, _, self._rest = (self._rest + data).rpartition(b"\n")
                self.events += len(_ID.findall(whole))
                if data.endswith(b"\r\n0\r\n\r\n"):
                    break
        self.ended = True


def resident_kib(stack: RunningStack) -> int:
    status = Path(f"/proc/{stack.process('gateway').pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


async def takes(clients: list[RawClient], events: int) -> None:
    """Wait until each has so many."""
    deadline_s = time.monotonic() + DEADLINE_S
    while any(client.events < events for client in clients):
        assert time.monotonic() < deadline_s, Counter((client.events, client.ended) for client in clients)
        await asyncio.sleep(0.02)


@pytest.fixture
async def primary(stack: RunningStack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.dsn())
    yield connection
    await connection.close()


async def test_hundreds_follow_and_the_gateway_stays_small(stack: RunningStack, primary: asyncpg.Connection) -> None:
    city = new_city()
    readers = [await RawClient.open(stack, city) for _ in range(READERS)]
    before_kib = resident_kib(stack)
    counting = [asyncio.create_task(client.count()) for client in readers]
    for first in range(1, EVENTS, BATCH):
        await commit(primary, *(event_bytes("deliveries/1", n, city) for n in range(first, first + BATCH)))
        # Not faster than this one process takes them for all its clients.
        await takes(readers, first + BATCH - 1)
    assert {client.events for client in readers} == {EVENTS}
    assert not any(client.ended for client in readers)
    # REST goes on beside them.
    await asyncio.to_thread(Rest(stack.base_url, stack.ops_api_key).get, "/v1/cities")
    grown_kib = resident_kib(stack) - before_kib
    assert grown_kib < READERS * KIB_OF_A_CLIENT_MAX
    for client in readers:
        client.writer.close()
    await asyncio.gather(*counting)


def large_event(sequence: int, city: str) -> bytes:
    change = delivery_pb2.DeliveryChange(note="x" * LARGE_BYTES)
    moved = event_pb2.DeliveryStateChanged(delivery_id="1", change=change)
    event = event_pb2.Event(delivery_state_changed=moved)
    at = datetime.now(UTC)
    return event_text(event, subject="deliveries/1", city_code=city, sequence=sequence, at=at).encode()


async def test_who_takes_nothing_is_cut_off_and_costs_the_others_nothing(
    stack: RunningStack, primary: asyncpg.Connection
) -> None:
    city = new_city()
    quick = await RawClient.open(stack, city)
    stalled = [await RawClient.open(stack, city, stalls=True) for _ in range(STALLED)]
    counting = asyncio.create_task(quick.count())
    before_kib = resident_kib(stack)
    for first in range(1, LARGE_EVENTS, BATCH):
        await commit(primary, *(large_event(n, city) for n in range(first, first + BATCH)))
        await takes([quick], first + BATCH - 1)
    # All that was said is kept once, and not once for each: 16 MB of events, and a piece for each that waits.
    grown_kib = resident_kib(stack) - before_kib
    assert grown_kib < 150_000
    late = [asyncio.create_task(client.count()) for client in stalled]
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*late)
    assert max(client.events for client in stalled) < LARGE_EVENTS
    assert not quick.ended
    quick.writer.close()
    await counting

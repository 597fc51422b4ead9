"""Whether a server or a service can do its work now. Each probe answers within its timeout and never raises."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.embedded.process_info import listens
from libs.postgres.outages import NOT_ANSWERED

Probe = Callable[[int], Awaitable[bool]]

HTTP_OK = b" 200 "


async def accepts_queries(dsn: str, timeout_s: float, *, in_recovery: bool) -> bool:
    """Whether PostgreSQL answers, as a standby if `in_recovery` and as a primary otherwise."""
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout_s)
    except NOT_ANSWERED:
        return False
    try:
        return bool(await connection.fetchval("SELECT pg_is_in_recovery()", timeout=timeout_s) is in_recovery)
    except NOT_ANSWERED:
        return False
    finally:
        connection.terminate()


def grpc_health(host: str, port: int, timeout_s: float) -> Probe:
    """A probe of the standard health service, of the process that is asked for among those that share the port."""

    async def probe(pid: int) -> bool:
        # Several processes may listen on one port, so an answer alone does not say whose it is.
        if sys.platform == "linux" and not listens(pid, port):
            return False
        # A pool of its own: a refused connection must not make the next probe wait for grpc's own backoff.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"{host}:{port}", options=options) as channel:
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return probe


def http_ok(host: str, port: int, path: str, timeout_s: float) -> Probe:
    """A probe that asks for a path and wants a 200."""

    async def probe(_pid: int) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                    await writer.drain()
                    return HTTP_OK in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return probe

"""/healthz: this process lives. /readyz: what it needs does too, asked now."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import asyncpg
import grpc
import redis.asyncio as redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from libs.postgres.errors import UNREACHABLE

Check = Callable[[], Awaitable[None]]
_FAILURES = (*UNREACHABLE, RuntimeError, RedisError, asyncpg.PostgresError)


def checks_of(
    database: Check, services: Mapping[str, grpc.aio.Channel], store: redis.Redis, timeout_s: float
) -> tuple[Mapping[str, Check], frozenset[str]]:
    """Return the checks by name, and the names of those that the gateway can do without for a while."""

    async def rate_limit_store() -> None:
        await store.ping()

    asked = {name: _serving(channel, timeout_s) for name, channel in services.items()}
    return {"database": database, **asked, "redis": rate_limit_store}, frozenset({"redis"})


def _serving(channel: grpc.aio.Channel, timeout_s: float) -> Check:
    async def check() -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise RuntimeError(error.code().name) from None
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise RuntimeError(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    return check


def routes(checks: Mapping[str, Check], dispensable: frozenset[str], timeout_s: float) -> list[Route]:
    """Return the two routes."""

    async def run(name: str) -> tuple[str, str]:
        try:
            async with asyncio.timeout(timeout_s):
                await checks[name]()
        except _FAILURES as error:
            return name, f"{'degraded' if name in dispensable else 'down'}: {type(error).__name__} {error}".strip()
        return name, "ok"

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        found = dict(await asyncio.gather(*(run(name) for name in checks)))
        ready = all(said == "ok" or name in dispensable for name, said in found.items())
        return JSONResponse({"status": "ready" if ready else "not ready", "checks": found}, 200 if ready else 503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]

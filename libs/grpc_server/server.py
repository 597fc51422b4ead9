"""Builds the gRPC server that every service runs: interceptor, health, reflection, limits and a drain."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import BaseModel, ConfigDict, Field

from libs.grpc_server.access import access_table
from libs.grpc_server.errors import ServiceError
from libs.grpc_server.identity import TokenVerifier
from libs.grpc_server.interceptor import Answerer, CallInterceptor
from libs.grpc_server.lifetime import ready_to_serve

log = logging.getLogger("grpc")


class ServerLimits(BaseModel):
    """The limits of one gRPC server."""

    model_config = ConfigDict(frozen=True)

    request_bytes_max: int = Field(8 * 1024 * 1024, gt=0, description="Largest request message")
    response_bytes_max: int = Field(32 * 1024 * 1024, gt=0, description="Largest response message")
    concurrent_calls_max: int = Field(1_000, gt=0, description="Calls answered at once; more get RESOURCE_EXHAUSTED")
    connection_age_s_max: int = Field(3600, gt=0, description="A connection is renewed after this, to rebalance")
    drain_s: float = Field(10.0, gt=0, description="How long running calls may take to end after a stop")


class GrpcServer:
    """A grpc.aio server whose services declare their access, with standard health and reflection."""

    def __init__(
        self,
        address: str,
        service_names: Sequence[str],
        verifier: TokenVerifier | None,
        limits: ServerLimits,
        translate: Callable[[Exception], ServiceError | None] = lambda _: None,
        answerer: Answerer | None = None,
    ) -> None:
        """`translate` turns a library's exception into an error of our tree, or None where it is a bug.

        `answerer` may answer in a handler's place, such as a cache.
        """
        self._limits = limits
        self._service_names = tuple(service_names)
        interceptors = [CallInterceptor(access_table(service_names), verifier, translate, answerer)] if verifier else []
        self.server = grpc.aio.server(
            interceptors=interceptors,
            maximum_concurrent_rpcs=limits.concurrent_calls_max,
            options=[
                ("grpc.max_receive_message_length", limits.request_bytes_max),
                ("grpc.max_send_message_length", limits.response_bytes_max),
                ("grpc.max_connection_age_ms", limits.connection_age_s_max * 1000),
                ("grpc.so_reuseport", 1),
            ],
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # its stubs lack aio
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        names = (*service_names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.server)
        self.port = self.server.add_insecure_port(address)

    async def set_serving(self, serving: bool) -> None:
        """Say to health checks whether the server can do its work, as a whole and for each of its services."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._service_names):
            await self._health.set(name, status)

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer calls until `stop` is set; then refuse new ones and let the running ones end."""
        await self.server.start()
        await self.set_serving(True)
        ready_to_serve()
        log.info("serving", extra={"port": self.port, "services": list(self._service_names)})
        try:
            await stop.wait()
        finally:
            await self._health.enter_graceful_shutdown()
            await self.server.stop(self._limits.drain_s)
            log.info("stopped", extra={"port": self.port})

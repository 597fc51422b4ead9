"""The one place where the relay is wired."""

import asyncio

import redis.asyncio as redis
from lastmile.streams.v1 import stream_pb2, stream_pb2_grpc

from libs.grpc_server.identity import TokenVerifier
from libs.grpc_server.server import GrpcServer
from libs.telemetry.metrics import serve_metrics
from services.relay.errors import translate
from services.relay.inspection.servicer import StreamServicer
from services.relay.relay import Relay
from services.relay.settings import RelaySettings

SERVICE = stream_pb2.DESCRIPTOR.services_by_name["StreamService"].full_name


async def run_relay(settings: RelaySettings, stop: asyncio.Event) -> None:
    """Publish events until `stop` is set. Raises an exception group with a RelayError when somebody has to decide."""
    server = GrpcServer(
        f"{settings.host}:{settings.relay_port}",
        [SERVICE],
        TokenVerifier(settings.token_public_key_file),
        settings.relay_server,
        translate,
    )
    timeout_s = settings.relay_publish.redis_timeout_s
    async with redis.from_url(str(settings.redis_url), socket_timeout=timeout_s) as client:
        stream_pb2_grpc.add_StreamServiceServicer_to_server(StreamServicer(client), server.server)
        with serve_metrics(settings.host, settings.relay_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                await Relay(settings, client, server).run(stop)

"""The one place where the notification api is wired."""

import asyncio
from contextlib import nullcontext

import grpc
import redis.asyncio as redis
import uvicorn
from lastmile.notification.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    message_pb2,
    message_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    recipient_pb2,
    recipient_pb2_grpc,
    sandbox_pb2,
    sandbox_pb2_grpc,
    template_pb2,
    template_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from starlette.applications import Starlette

from libs.grpc_server.identity import TokenVerifier
from libs.grpc_server.server import GrpcServer
from libs.postgres.errors import translate
from libs.postgres.pool import create_pool
from libs.postgres.querying import QueryServers, querying
from libs.privacy.vault import Vault
from libs.telemetry.metrics import serve_metrics
from services.notification.alerts.servicer import AlertServicer
from services.notification.database import Database
from services.notification.inbox.servicer import SandboxServicer
from services.notification.messages.servicer import MessageServicer
from services.notification.providers.webhook import WebhookSettings
from services.notification.receipts.connections import brief
from services.notification.receipts.endpoint import ReceiptEndpoint
from services.notification.recipients.servicer import RecipientServicer
from services.notification.sending.process import carrying
from services.notification.settings import ApiSettings
from services.notification.status.servicer import ProviderServicer
from services.notification.templates.servicer import TemplateServicer
from services.notification.webhooks.servicer import WebhookServicer

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (message_pb2, "MessageService"),
        (recipient_pb2, "RecipientService"),
        (template_pb2, "TemplateService"),
        (provider_pb2, "ProviderService"),
        (sandbox_pb2, "SandboxService"),
        (alert_pb2, "AlertService"),
        (webhook_pb2, "WebhookService"),
    )
)


async def serve_api(settings: ApiSettings, stop: asyncio.Event) -> None:
    """Answer the service's calls and its providers' callbacks until `stop` is set, then drain."""
    dsn, vault = str(settings.notification_dsn), Vault.read(settings.notification_vault_file)
    query_servers = QueryServers(str(settings.notification_query_dsn), str(settings.notification_fallback_dsn), dsn)
    async with (
        await create_pool(dsn, settings.notification_pool, "notification-api") as primary,
        querying(
            query_servers,
            "notification-api",
            settings.notification_query_pool,
            settings.notification_fallback_pool,
            settings.notification_clock,
            settings.notification_replica,
        ) as queries,
        redis.from_url(str(settings.redis_url)) as client,
        carrying(settings.notification_routes, {"primary": primary, "vault": vault}) as carriers,
    ):
        server = GrpcServer(
            f"{settings.host}:{settings.notification_port}",
            SERVICES,
            TokenVerifier(settings.token_public_key_file),
            settings.notification_server,
            translate,
        )
        _add_servicers(server.server, settings, Database(primary, queries), vault, client)
        providers = {name: carrier.provider for name, carrier in carriers.items()}
        endpoint = ReceiptEndpoint(primary, providers, vault, settings.notification_receipts)
        receipts = _http_server(endpoint, settings)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(receipts.serve())
            with serve_metrics(settings.host, settings.notification_metrics_port):
                await server.serve(stop)
            receipts.should_exit = True
            await serving


def _add_servicers(
    server: grpc.aio.Server, settings: ApiSettings, database: Database, vault: Vault, client: redis.Redis
) -> None:
    message_pb2_grpc.add_MessageServiceServicer_to_server(MessageServicer(database, vault), server)
    recipient_pb2_grpc.add_RecipientServiceServicer_to_server(
        RecipientServicer(database, vault, settings.notification_plan), server
    )
    template_pb2_grpc.add_TemplateServiceServicer_to_server(
        TemplateServicer(database, settings.notification_render), server
    )
    provider_pb2_grpc.add_ProviderServiceServicer_to_server(
        ProviderServicer(database, client, settings.notification_routes), server
    )
    sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(SandboxServicer(database, vault), server)
    alert_pb2_grpc.add_AlertServiceServicer_to_server(AlertServicer(database), server)
    webhooks = WebhookServicer(
        database, vault, settings.notification_plan, private_receivers=WebhookSettings().private_receivers
    )
    webhook_pb2_grpc.add_WebhookServiceServicer_to_server(webhooks, server)


def _http_server(endpoint: ReceiptEndpoint, settings: ApiSettings) -> uvicorn.Server:
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=[endpoint.route]),
            host=settings.host,
            port=settings.notification_receipts_port,
            http=brief(
                settings.notification_receipts.connection_s_max, settings.notification_receipts.client_connections_max
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=16_384,
            limit_concurrency=settings.notification_receipts.connections_max,
            timeout_keep_alive=10,
        )
    )
    # The process has one way to be told to stop; uvicorn's own handlers would be a second.
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # the hook is a method
    return server

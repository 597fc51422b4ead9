"""The one place where the sender's process is wired."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.ids import new_id_text
from libs.postgres.errors import UNREACHABLE
from libs.postgres.pool import PoolLimits, create_pool
from libs.privacy.vault import Vault
from libs.resilience.board import BoardLimits, CircuitBoard
from libs.streams.handler import discovered
from libs.telemetry import error_text
from libs.telemetry.metrics import serve_metrics
from services.notification import handlers
from services.notification.providers.registry import named, settings_of
from services.notification.providers.webhook import WebhookProvider
from services.notification.retention.keeper import Keeper, RetentionLimits
from services.notification.routes import Routes, default_routes
from services.notification.sending.carriers import Carrier
from services.notification.sending.outcomes import RetryLimits
from services.notification.sending.sender import Sender, SendLimits
from services.notification.sending.sweeper import Sweeper, SweepLimits
from services.notification.sending.waiting import Writer
from services.notification.templates import store
from services.notification.templates.book import TemplateBook
from services.notification.templates.rendering import RenderLimits
from services.notification.webhooks.ops import keep_ops_webhook

log = logging.getLogger("notification")


class SenderSettings(BaseSettings):
    """What `python -m services.notification sender` is told; each provider in use is told more, under its own name."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    notification_sender_port: int = Field(15068, ge=1, le=65535, description="Port of the health checks")
    notification_sender_metrics_port: int = Field(
        15069, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 serves none"
    )
    notification_worker_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role notification_worker")
    redis_url: RedisDsn = Field(description="Where senders share what they know of providers")
    notification_vault_file: Path = Field(description="The keys that personal data is kept with")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    notification_routes: Routes = Field(
        default_factory=default_routes,
        description="The providers of each channel, in the order in which they are asked",
    )
    notification_templates_s: float = Field(5.0, gt=0, description="Templates are read again after this")
    notification_templates_rows_max: int = Field(1_000, ge=1, description="Templates that one statement reads")
    notification_sender_pool: PoolLimits = Field(
        PoolLimits(connections_max=6), description="Connections to the primary"
    )
    notification_send: SendLimits = Field(SendLimits(), description="How much is sent at once")
    notification_retry: RetryLimits = Field(RetryLimits(), description="How often what was not sent is tried again")
    notification_webhook_retry: RetryLimits = Field(
        RetryLimits(delays_s=(5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000), not_asked_s=15),
        description="The same for merchants' webhooks",
    )
    notification_sweep: SweepLimits = Field(SweepLimits(), description="How promptly what is lost is found")
    notification_retention: RetentionLimits = Field(RetentionLimits(), description="How long messages are kept")
    notification_render: RenderLimits = Field(RenderLimits(), description="How much a message may say")
    notification_circuits: BoardLimits = Field(BoardLimits(), description="How promptly circuits are shared")
    notification_sender_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_sender(settings: SenderSettings, stop: asyncio.Event) -> None:
    """Send what is due until `stop` is set, then let what has begun end."""
    server = GrpcServer(
        f"{settings.host}:{settings.notification_sender_port}", (), None, settings.notification_sender_server
    )
    vault, book = Vault.read(settings.notification_vault_file), TemplateBook()
    async with (
        await create_pool(
            str(settings.notification_worker_dsn), settings.notification_sender_pool, "notification-sender"
        ) as primary,
        carrying(settings.notification_routes, {"primary": primary, "vault": vault}) as carriers,
    ):
        await _read_templates(primary, book, settings)
        for carrier in carriers.values():
            if isinstance(carrier.provider, WebhookProvider):
                await keep_ops_webhook(primary, vault, carrier.provider.ops_url)
        routes = {
            channel: [carriers[name] for name in names] for channel, names in settings.notification_routes.items()
        }
        writer = Writer(vault, book, settings.notification_render)
        sender = Sender(
            primary, routes, writer, settings.notification_send, settings.notification_retry,
            settings.notification_webhook_retry,
        )  # fmt: skip
        sweeper = Sweeper(primary, carriers, vault, settings.notification_sweep)
        board = CircuitBoard(str(settings.redis_url), f"notification-{new_id_text()}", settings.notification_circuits)
        for carrier in carriers.values():
            board.add(carrier.dependency)
        with serve_metrics(settings.host, settings.notification_sender_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                helping = [
                    group.create_task(board.run()),
                    group.create_task(_keep_reading(primary, book, settings)),
                ]
                group.create_task(sweeper.run(stop))
                group.create_task(
                    Keeper(primary, settings.notification_retention, tuple(discovered(handlers))).run(stop)
                )
                await sender.run(stop)
                for task in helping:
                    task.cancel()


@asynccontextmanager
async def carrying(
    routes: Mapping[str, Sequence[str]], given: Mapping[str, object]
) -> AsyncIterator[dict[str, Carrier]]:
    """Make every provider that a route names, of what its parameters name, and close them in the end."""
    carriers: dict[str, Carrier] = {}
    try:
        for channel, names in routes.items():
            for name in names:
                kind: Any = named(name, channel)
                if name not in carriers:
                    own = settings_of(kind, name)()
                    known = {**given, "settings": own}
                    wanted = inspect.signature(kind).parameters
                    carriers[name] = Carrier(kind(**{key: known[key] for key in wanted}), own, name)
        yield carriers
    finally:
        for carrier in carriers.values():
            await carrier.provider.close()


async def _keep_reading(primary: asyncpg.Pool, book: TemplateBook, settings: SenderSettings) -> None:
    while True:
        await asyncio.sleep(settings.notification_templates_s)
        with suppress(*UNREACHABLE):
            await _read_templates(primary, book, settings)


async def _read_templates(primary: asyncpg.Pool, book: TemplateBook, settings: SenderSettings) -> None:
    try:
        async with primary.acquire() as connection:
            book.replace(await store.in_use(connection, settings.notification_templates_rows_max))
    except UNREACHABLE as error:
        log.warning("templates were not read", extra={"error": error_text(error)})
        raise

"""The one place where the gateway is wired."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import redis.asyncio as redis
import uvicorn
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from lastmile.assignment.v1 import assignment_pb2, city_pb2, delivery_pb2, merchant_pb2, network_pb2, partner_pb2
from lastmile.gateway.v1 import access_pb2, access_pb2_grpc
from lastmile.notification.v1 import (
    alert_pb2,
    message_pb2,
    provider_pb2,
    recipient_pb2,
    sandbox_pb2,
    template_pb2,
    webhook_pb2,
)
from lastmile.reconciliation.v1 import (
    exception_pb2,
    ledger_pb2,
    paper_pb2,
    rate_card_pb2,
    run_pb2,
    settlement_pb2,
    statement_pb2,
)
from lastmile.streams.v1 import stream_pb2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.cache.caching import linked
from libs.cache.reuse import Reuse
from libs.grpc_server.identity import Role, TokenSigner, TokenVerifier
from libs.grpc_server.server import GrpcServer
from libs.ids import new_id
from libs.postgres.errors import translate
from libs.postgres.pool import create_pool
from libs.postgres.querying import QueryServers, querying
from libs.postgres.replica import QueryPool
from services.gateway import health
from services.gateway.auth import keys, store
from services.gateway.auth.credentials import Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.auth.servicer import AccessServicer
from services.gateway.auth.store import ApiKey
from services.gateway.downloads import endpoint as downloads
from services.gateway.downloads.openapi import with_download
from services.gateway.live import endpoint as live
from services.gateway.live.hub import Hub
from services.gateway.live.openapi import with_live
from services.gateway.papers.endpoint import SUFFIX, PaperEndpoint
from services.gateway.papers.openapi import with_papers
from services.gateway.rest import openapi, pages
from services.gateway.rest.codec import GoogleJsonCodec
from services.gateway.rest.comments import load_comments
from services.gateway.rest.connections import limited
from services.gateway.rest.routes import routes_of
from services.gateway.rest.transcoder import Transcoder, unrouted
from services.gateway.rest.upstream import Upstream
from services.gateway.settings import GatewaySettings
from services.gateway.uploads import endpoint as uploads
from services.gateway.uploads.openapi import with_upload
from services.gateway.webhooks.endpoint import NETWORK_PATH, WebhookEndpoint
from services.gateway.webhooks.openapi import with_webhooks

ACCESS_SERVICE = access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name
# Every module's services have routes; its import puts them into the descriptor pool.
STREAM_SERVICE = stream_pb2.DESCRIPTOR.services_by_name["StreamService"].full_name
_ASSIGNMENT = (city_pb2, merchant_pb2, partner_pb2, network_pb2, delivery_pb2, assignment_pb2)
_NOTIFICATION = (alert_pb2, message_pb2, recipient_pb2, template_pb2, provider_pb2, sandbox_pb2, webhook_pb2)
_RECONCILIATION = (exception_pb2, ledger_pb2, paper_pb2, rate_card_pb2, run_pb2, settlement_pb2, statement_pb2)
_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# Routes below /v1/ that no annotation makes.
_OWN_PATHS = frozenset({live.PATH, uploads.PATH, downloads.PATH})
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def service_descriptors() -> list[ServiceDescriptor]:
    """Return every service that has REST routes."""
    names = (
        *_names_of(_ASSIGNMENT),
        *_names_of(_NOTIFICATION),
        *_names_of(_RECONCILIATION),
        STREAM_SERVICE,
        ACCESS_SERVICE,
    )
    return [descriptor_pool.Default().FindServiceByName(name) for name in names]


def _names_of(modules: Sequence[Any]) -> list[str]:
    return [service.full_name for module in modules for service in module.DESCRIPTOR.services_by_name.values()]


async def serve_gateway(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Answer REST and AccessService until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(
            await create_pool(str(settings.gateway_dsn), settings.gateway_pool, "gateway")
        )
        queries = await stack.enter_async_context(_querying(settings))
        redis_store = await stack.enter_async_context(redis.from_url(str(settings.redis_url)))
        channels = {
            name: await stack.enter_async_context(grpc.aio.insecure_channel(target))
            for name, target in _targets(settings).items()
        }
        await _ensure_bootstrap_key(settings, primary)
        verifier = TokenVerifier(settings.token_public_key_file)
        signer = TokenSigner(settings.token_private_key_file, timedelta(seconds=settings.gateway_credentials.token_s))
        credentials = Credentials(queries, signer, verifier, settings.gateway_credentials)
        grpc_server = _access_server(
            settings, verifier, AccessServicer(primary, queries, credentials, channels["assignment"])
        )
        link = await stack.enter_async_context(linked(str(settings.redis_url), settings.gateway_cache))
        upstreams = await stack.enter_async_context(_upstreams(settings))
        limiter = RateLimiter(str(settings.redis_url), settings.gateway_rates)
        services = service_descriptors()
        transcoder = Transcoder(
            routes_of(services),
            upstreams,
            credentials,
            limiter,
            GoogleJsonCodec(),
            Reuse(link, queries.clock, settings.gateway_rest.outdated_ms_max),
            settings.gateway_rest,
        )
        hub = Hub(str(settings.redis_url), GoogleJsonCodec(), settings.gateway_live)
        follow = live.LiveEndpoint(hub, credentials, verifier, limiter, settings.gateway_live)
        assignment_upstream = upstreams[network_pb2.DESCRIPTOR.services_by_name["PartnerNetworkService"].full_name]
        webhooks = WebhookEndpoint(assignment_upstream, limiter, settings.gateway_webhooks)
        timeout_s = settings.gateway_health_timeout_s
        checks, dispensable = health.checks_of(queries.check_any, channels, redis_store, timeout_s)
        routes: list[BaseRoute] = [
            *health.routes(checks, dispensable, timeout_s),
            *pages.routes(_document(services), settings.assignment_target),
            Route(live.PATH, follow.answer, methods=_ALL_METHODS),
            *_file_routes(settings, upstreams, credentials, limiter),
            Route(NETWORK_PATH, webhooks.answer, methods=_ALL_METHODS),
            Route("/{path:path}", transcoder.answer, methods=_ALL_METHODS),
        ]
        pages_and_live = Starlette(routes=routes, exception_handlers={HTTPException: unrouted})
        http_server = _http_server(_with_security_headers(_calls_first(transcoder, pages_and_live)), settings)
        async with asyncio.TaskGroup() as group:
            group.create_task(grpc_server.serve(stop))
            group.create_task(follow.run(stop))
            serving = group.create_task(http_server.serve())
            stopped = group.create_task(stop.wait())
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            http_server.should_exit = True
            stop.set()


def _file_routes(
    settings: GatewaySettings, upstreams: Mapping[str, Upstream], credentials: Credentials, limiter: RateLimiter
) -> list[Route]:
    """Return the routes of files, which are given on in pieces."""
    statements, settlements, papers = (
        upstreams[_names_of((module,))[0]] for module in (statement_pb2, settlement_pb2, paper_pb2)
    )
    codec = GoogleJsonCodec()
    upload = uploads.UploadEndpoint(statements, credentials, limiter, codec, settings.gateway_uploads)
    download = downloads.DownloadEndpoint(settlements, credentials, limiter, settings.gateway_downloads)
    paper = PaperEndpoint(papers, credentials, limiter, codec, settings.gateway_papers)
    return [
        Route(uploads.PATH, upload.answer, methods=_ALL_METHODS),
        Route(downloads.PATH, download.answer, methods=_ALL_METHODS),
        Route(f"/v1/{{path:path}}{SUFFIX}", paper.answer, methods=_ALL_METHODS),
    ]


def _targets(settings: GatewaySettings) -> dict[str, str]:
    targets = {"assignment": settings.assignment_target}
    if settings.assignment_queries_target:
        targets["assignment-queries"] = settings.assignment_queries_target
    return targets


def _document(services: Sequence[ServiceDescriptor]) -> dict[str, Any]:
    comments = load_comments()
    document = with_webhooks(with_live(openapi.build(services, comments)))
    return with_papers(with_download(with_upload(document)), comments)


def _access_server(settings: GatewaySettings, verifier: TokenVerifier, servicer: AccessServicer) -> GrpcServer:
    address = f"{settings.host}:{settings.gateway_grpc_port}"
    server = GrpcServer(address, [ACCESS_SERVICE], verifier, settings.gateway_server, translate)
    access_pb2_grpc.add_AccessServiceServicer_to_server(servicer, server.server)
    return server


@asynccontextmanager
async def _upstreams(settings: GatewaySettings) -> AsyncIterator[dict[str, Upstream]]:
    reads = settings.assignment_queries_target or settings.assignment_target
    assignment = Upstream(settings.assignment_target, settings.gateway_rest, reads)
    notification = Upstream(settings.notification_target, settings.gateway_rest)
    relay = Upstream(settings.relay_target, settings.gateway_rest)
    own = Upstream(f"{settings.host}:{settings.gateway_grpc_port}", settings.gateway_rest)
    reconciliation = Upstream(settings.reconciliation_target, settings.gateway_rest)
    elsewhere = {ACCESS_SERVICE: own, STREAM_SERVICE: relay}
    elsewhere |= dict.fromkeys(_names_of(_NOTIFICATION), notification)
    elsewhere |= dict.fromkeys(_names_of(_RECONCILIATION), reconciliation)
    try:
        yield {service.full_name: elsewhere.get(service.full_name, assignment) for service in service_descriptors()}
    finally:
        await assignment.close()
        await notification.close()
        await relay.close()
        await reconciliation.close()
        await own.close()


def _querying(settings: GatewaySettings) -> AbstractAsyncContextManager[QueryPool]:
    return querying(
        QueryServers(str(settings.gateway_query_dsn), str(settings.gateway_fallback_dsn), str(settings.gateway_dsn)),
        "gateway",
        settings.gateway_query_pool,
        settings.gateway_fallback_pool,
        settings.gateway_clock,
        settings.gateway_replica,
    )


async def _ensure_bootstrap_key(settings: GatewaySettings, primary: asyncpg.Pool) -> None:
    """Make the first ops key valid: without it nobody could make any other."""
    path = settings.gateway_bootstrap_ops_key_file
    if path is None:
        return
    key = path.read_text().strip()
    if not keys.KEY.match(key):
        raise ValueError(f"{path} holds no API key: it must look like lm_ and at least 20 letters and digits")
    bootstrap = ApiKey(new_id(), "bootstrap", Role.OPS, None, None, datetime.now(UTC))
    await store.create(primary, keys.hashed(key), bootstrap)


def _calls_first(transcoder: Transcoder, others: ASGIApp) -> ASGIApp:
    """Give calls to the transcoder as they come: it needs neither a router nor handlers of exceptions around it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/") and not _is_own(scope["path"]):
            response = await transcoder.answer(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def _is_own(path: str) -> bool:
    return path in _OWN_PATHS or path.endswith(SUFFIX)


def _with_security_headers(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_SECURITY_HEADERS]
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return wrapped


def _http_server(app: ASGIApp, settings: GatewaySettings) -> uvicorn.Server:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.gateway_http_port,
            http=limited(settings.gateway_connection),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=settings.gateway_keep_alive_s,
            timeout_graceful_shutdown=settings.gateway_drain_s,
        )
    )
    # The process has one way to be told to stop; uvicorn's own handlers would be a second.
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # the hook is a method
    return server

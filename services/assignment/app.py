"""The one place where the assignment api is wired."""

import asyncio
import logging

import grpc
import redis.asyncio as redis
from lastmile.assignment.v1 import (
    assignment_pb2,
    assignment_pb2_grpc,
    city_pb2,
    city_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
    merchant_pb2,
    merchant_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    network_webhook_pb2,
    network_webhook_pb2_grpc,
    partner_pb2,
    partner_pb2_grpc,
)

from libs.cache.caching import caching
from libs.grpc_server.identity import TokenVerifier
from libs.grpc_server.server import GrpcServer
from libs.grpc_server.validation import warm
from libs.postgres.errors import translate
from libs.postgres.pool import create_pool
from libs.postgres.querying import QueryServers, querying
from libs.privacy.sealed_mail import Sealer
from libs.telemetry.metrics import serve_metrics
from services.assignment.cached_queries import queries_of
from services.assignment.cities.directory import CityDirectory
from services.assignment.cities.servicer import CityServicer
from services.assignment.database import Database
from services.assignment.deliveries.servicer import DeliveryServicer
from services.assignment.deliveries.writer import DeliveryWriter
from services.assignment.dispatch.network import load_networks
from services.assignment.dispatch.servicer import NetworkWebhookServicer
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.matching.rules.registry import discovered
from services.assignment.merchants.servicer import MerchantServicer
from services.assignment.networks.servicer import PartnerNetworkServicer
from services.assignment.offers.answers import OfferAnswers
from services.assignment.offers.codec import moved_event
from services.assignment.partners.position_intake import PositionIntake
from services.assignment.partners.positions import PositionBook
from services.assignment.partners.servicer import PartnerServicer
from services.assignment.settings import ApiSettings
from services.assignment.windows.on_demand import OnDemandMatcher
from services.assignment.windows.servicer import AssignmentServicer

log = logging.getLogger("assignment")
SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (city_pb2, "CityService"),
        (merchant_pb2, "MerchantService"),
        (partner_pb2, "PartnerService"),
        (network_pb2, "PartnerNetworkService"),
        (network_webhook_pb2, "NetworkWebhookService"),
        (delivery_pb2, "DeliveryService"),
        (assignment_pb2, "AssignmentService"),
    )
)


async def serve_api(settings: ApiSettings, stop: asyncio.Event) -> None:
    """Answer the assignment service's calls until `stop` is set, then drain."""
    # A broken rule stops the start, and no call.
    log.info("matching rules", extra={"rules": list(discovered())})
    dsn = str(settings.assignment_dsn)
    query_servers = QueryServers(str(settings.assignment_query_dsn), str(settings.assignment_fallback_dsn), dsn)
    async with (
        await create_pool(dsn, settings.assignment_primary_pool, "assignment-api") as primary,
        querying(
            query_servers,
            "assignment-api",
            settings.assignment_query_pool,
            settings.assignment_fallback_pool,
            settings.assignment_clock,
            settings.assignment_replica,
        ) as query_pool,
        caching(
            str(settings.redis_url),
            query_pool,
            queries_of(settings.assignment_cache_windows),
            settings.assignment_cache,
        ) as cache,
        redis.from_url(str(settings.redis_url)) as positions_store,
    ):
        writer = DeliveryWriter(primary, settings.assignment_writer, moved_event)
        positions = PositionBook(positions_store, settings.assignment_positions)
        server = GrpcServer(
            f"{settings.host}:{settings.assignment_port}",
            SERVICES,
            TokenVerifier(settings.token_public_key_file),
            settings.assignment_server,
            translate,
            cache,
        )
        _add_servicers(server.server, settings, Database(primary, query_pool), writer, positions)
        warm(delivery_pb2.CreateDeliveryRequest())
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            group.create_task(positions.run())
            with serve_metrics(settings.host, settings.assignment_metrics_port):
                await server.serve(stop)
            await writer.close()
            await positions.close()


def _add_servicers(
    server: grpc.aio.Server,
    settings: ApiSettings,
    database: Database,
    writer: DeliveryWriter,
    positions: PositionBook,
) -> None:
    directory = CityDirectory(database, settings.city_refresh_s)
    answers = OfferAnswers(database, writer)
    on_demand = OnDemandMatcher(
        settings.match_pairs_max, settings.matches_at_once_max, settings.match_wait_s, settings.match_remedies_s_max
    )
    city_pb2_grpc.add_CityServiceServicer_to_server(CityServicer(database, directory), server)
    merchant_pb2_grpc.add_MerchantServiceServicer_to_server(MerchantServicer(database), server)
    partner_pb2_grpc.add_PartnerServiceServicer_to_server(
        PartnerServicer(database, directory, PositionIntake(database, directory, positions)), server
    )
    network_pb2_grpc.add_PartnerNetworkServiceServicer_to_server(PartnerNetworkServicer(database), server)
    webhooks = NetworkWebhookServicer(
        load_networks(settings.networks_file), NetworkUpdates(database.primary, writer), settings.assignment_webhooks
    )
    network_webhook_pb2_grpc.add_NetworkWebhookServiceServicer_to_server(webhooks, server)
    delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(
        DeliveryServicer(database, directory, writer, Sealer(settings.contact_public_key_file)), server
    )
    assignment_pb2_grpc.add_AssignmentServiceServicer_to_server(
        AssignmentServicer(database, answers, on_demand), server
    )

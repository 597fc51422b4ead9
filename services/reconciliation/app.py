"""The one place where the reconciliation api is wired."""

import asyncio

from lastmile.reconciliation.v1 import (
    exception_pb2,
    exception_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    paper_pb2,
    paper_pb2_grpc,
    rate_card_pb2,
    rate_card_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
    statement_pb2,
    statement_pb2_grpc,
)

from libs.grpc_server.identity import TokenVerifier
from libs.grpc_server.server import GrpcServer
from libs.grpc_server.validation import warm
from libs.postgres.errors import translate
from libs.postgres.pool import create_pool
from libs.postgres.querying import QueryServers, querying
from libs.telemetry.metrics import serve_metrics
from services.reconciliation.database import Database
from services.reconciliation.exceptions.servicer import ExceptionServicer
from services.reconciliation.ledger.servicer import LedgerServicer
from services.reconciliation.papers.pool import RenderPool
from services.reconciliation.papers.servicer import PaperServicer
from services.reconciliation.rate_cards.servicer import RateCardServicer
from services.reconciliation.runs.servicer import RunServicer
from services.reconciliation.settings import ApiSettings
from services.reconciliation.settlements.servicer import SettlementServicer
from services.reconciliation.statements.servicer import StatementServicer

SERVICES = (
    exception_pb2.DESCRIPTOR.services_by_name["ExceptionService"].full_name,
    ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"].full_name,
    paper_pb2.DESCRIPTOR.services_by_name["PaperService"].full_name,
    rate_card_pb2.DESCRIPTOR.services_by_name["RateCardService"].full_name,
    run_pb2.DESCRIPTOR.services_by_name["RunService"].full_name,
    settlement_pb2.DESCRIPTOR.services_by_name["SettlementService"].full_name,
    statement_pb2.DESCRIPTOR.services_by_name["StatementService"].full_name,
)


async def serve_api(settings: ApiSettings, stop: asyncio.Event) -> None:
    """Answer the reconciliation service's calls until `stop` is set, then drain."""
    dsn = str(settings.reconciliation_dsn)
    servers = QueryServers(str(settings.reconciliation_query_dsn), str(settings.reconciliation_fallback_dsn), dsn)
    async with (
        await create_pool(dsn, settings.reconciliation_primary_pool, "reconciliation-api") as primary,
        querying(
            servers,
            "reconciliation-api",
            settings.reconciliation_query_pool,
            settings.reconciliation_fallback_pool,
            settings.reconciliation_clock,
            settings.reconciliation_replica,
        ) as queries,
        RenderPool(settings.reconciliation_papers) as pool,
    ):
        server = GrpcServer(
            f"{settings.host}:{settings.reconciliation_port}",
            SERVICES,
            TokenVerifier(settings.token_public_key_file),
            settings.reconciliation_server,
            translate,
        )
        database = Database(primary, queries)
        exception_pb2_grpc.add_ExceptionServiceServicer_to_server(
            ExceptionServicer(database, settings.reconciliation_desk, settings.reconciliation_settlements.own_cities),
            server.server,
        )
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(LedgerServicer(database), server.server)
        rate_card_pb2_grpc.add_RateCardServiceServicer_to_server(
            RateCardServicer(database, settings.rate_card_notice_s), server.server
        )
        paper_pb2_grpc.add_PaperServiceServicer_to_server(
            PaperServicer(database, pool, settings.reconciliation_company, settings.reconciliation_papers),
            server.server,
        )
        run_pb2_grpc.add_RunServiceServicer_to_server(
            RunServicer(database, settings.reconciliation_runs), server.server
        )
        settlement_pb2_grpc.add_SettlementServiceServicer_to_server(
            SettlementServicer(database, settings.reconciliation_settlements, settings.reconciliation_payouts),
            server.server,
        )
        statement_pb2_grpc.add_StatementServiceServicer_to_server(
            StatementServicer(database, settings.reconciliation_intake), server.server
        )
        warm(rate_card_pb2.CreateRateCardRequest())
        with serve_metrics(settings.host, settings.reconciliation_metrics_port):
            await server.serve(stop)

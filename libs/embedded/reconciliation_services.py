"""The processes of the reconciliation service."""

import os

from libs.embedded.nodes import ProcessSpec
from libs.embedded.readiness import grpc_health
from libs.embedded.wiring import Wiring

RECONCILIATION, RECONCILIATION_CONSUMER = "reconciliation-api", "reconciliation-consumer"
RECONCILIATION_WORKER = "reconciliation-worker"
_DROP_FOLDER = "LASTMILE_RECONCILIATION_DROP_FOLDER"


def reconciliation_specs(wiring: Wiring) -> list[ProcessSpec]:
    """How each is started, what it is told, how one sees that it is ready."""
    settings = wiring.settings
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    folder = os.environ.get(_DROP_FOLDER) or str(wiring.layout.home / "statements")
    dsns = wiring.dsns("reconciliation_dsn", "reconciliation_query_dsn", "reconciliation_fallback_dsn")
    return [
        wiring.process(
            RECONCILIATION,
            ("services.reconciliation", "api"),
            dsns | wiring.public_key,
            (settings.reconciliation_port, settings.reconciliation_metrics_port),
            grpc_health(host, settings.reconciliation_port, timeout_s),
        ),
        wiring.process(
            RECONCILIATION_CONSUMER,
            ("services.reconciliation", "consumer"),
            wiring.dsns("reconciliation_consumer_dsn") | wiring.redis,
            (settings.reconciliation_consumer_port, settings.reconciliation_consumer_metrics_port),
            grpc_health(host, settings.reconciliation_consumer_port, timeout_s),
        ),
        wiring.process(
            RECONCILIATION_WORKER,
            ("services.reconciliation", "worker"),
            wiring.dsns("reconciliation_worker_dsn") | {_DROP_FOLDER: folder},
            (settings.reconciliation_worker_port, settings.reconciliation_worker_metrics_port),
            grpc_health(host, settings.reconciliation_worker_port, timeout_s),
        ),
    ]

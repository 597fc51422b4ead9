"""The one place where the process of the reconciliation service's workers is wired."""

import asyncio
from pathlib import Path

from pydantic import Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.telemetry.metrics import serve_metrics
from services.reconciliation.exceptions.limits import WatchLimits
from services.reconciliation.exceptions.watch import Watch
from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.worker import Worker
from services.reconciliation.statements.drop_folder import DropFolder, DropFolderLimits
from services.reconciliation.statements.limits import IntakeLimits


class WorkerSettings(BaseSettings):
    """What `python -m services.reconciliation worker` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    reconciliation_worker_port: int = Field(15056, ge=1, le=65535, description="Port of the health checks")
    reconciliation_worker_metrics_port: int = Field(15057, ge=1, le=65535, description="Port of the metrics, over HTTP")
    reconciliation_worker_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role reconciliation_worker")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    reconciliation_drop_folder: Path | None = Field(
        None, description="Folder of files to take in, with one folder below it for each source; none: not watched"
    )
    reconciliation_worker_pool: PoolLimits = Field(
        PoolLimits(connections_max=6, statement_timeout_ms=300_000), description="Connections to the primary"
    )
    reconciliation_runs: RunLimits = Field(RunLimits(), description="By what runs are opened")
    reconciliation_worker: WorkerLimits = Field(WorkerLimits(), description="How a worker works")
    reconciliation_watch: WatchLimits = Field(WatchLimits(), description="How the ages of cases are watched")
    reconciliation_drop: DropFolderLimits = Field(DropFolderLimits(), description="How the folder is watched")
    reconciliation_intake: IntakeLimits = Field(IntakeLimits(), description="Limits of files")
    reconciliation_worker_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_worker(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Work until `stop` is set; what was begun is finished."""
    server = GrpcServer(
        f"{settings.host}:{settings.reconciliation_worker_port}", (), None, settings.reconciliation_worker_server
    )
    dsn = str(settings.reconciliation_worker_dsn)
    async with await create_pool(dsn, settings.reconciliation_worker_pool, "reconciliation-worker") as primary:
        with serve_metrics(settings.host, settings.reconciliation_worker_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                for _ in range(settings.reconciliation_worker.chunks_at_once):
                    worker = Worker(primary, settings.reconciliation_runs, settings.reconciliation_worker)
                    group.create_task(worker.run(stop))
                group.create_task(Watch(primary, settings.reconciliation_watch).run(stop))
                if settings.reconciliation_drop_folder is not None:
                    folder = DropFolder(
                        primary, settings.reconciliation_drop_folder, settings.reconciliation_drop,
                        settings.reconciliation_intake,
                    )  # fmt: skip
                    group.create_task(folder.run(stop))

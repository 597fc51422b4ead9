"""What the processes of all services are made with: how they are started, and what each is told."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from libs.embedded.layout import Layout
from libs.embedded.nodes import ProcessSpec
from libs.embedded.postgres import PostgresServers
from libs.embedded.readiness import Probe
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import POSTGRES_DSN_FIELDS, PlatformSettings, variable
from libs.embedded.valkey import ValkeyServer

# What a service needs of the shell it was started from; anything named LASTMILE_ or OTEL_ is passed on besides.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "NO_COLOR")
PASSED_ON_PREFIXES = ("LASTMILE_", "OTEL_")
# What is told to the notification service and to nobody else.
NOTIFICATION_PREFIX = "LASTMILE_NOTIFICATION_"
SECRET_VARIABLES = (
    *(variable(field) for field in POSTGRES_DSN_FIELDS),
    "LASTMILE_REDIS_URL",
    "LASTMILE_TOKEN_PRIVATE_KEY_FILE",
    "LASTMILE_CONTACT_PRIVATE_KEY_FILE",
    "LASTMILE_NOTIFICATION_VAULT_FILE",
    "LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE",
    "LASTMILE_API_KEY",
)


@dataclass(frozen=True)
class Connections:
    """How each service reaches each server: the embedded ones, or those that were given."""

    dsns: Mapping[str, str]
    redis_url: str


def connections(
    settings: PlatformSettings, postgres: PostgresServers | None, valkey: ValkeyServer | None
) -> Connections:
    """The DSNs by settings field, and the Redis URL."""
    if postgres is not None:
        dsns = {
            "migration_dsn": postgres.dsn("lastmile"),
            "assignment_dsn": postgres.dsn("assignment_api"),
            "assignment_query_dsn": postgres.dsn("assignment_query", standby=True),
            "assignment_fallback_dsn": postgres.dsn("assignment_fallback"),
            "matcher_dsn": postgres.dsn("assignment_matcher"),
            "gateway_dsn": postgres.dsn("gateway"),
            "gateway_query_dsn": postgres.dsn("gateway_query", standby=True),
            "gateway_fallback_dsn": postgres.dsn("gateway_fallback"),
            "notification_dsn": postgres.dsn("notification_api"),
            "notification_query_dsn": postgres.dsn("notification_query", standby=True),
            "notification_fallback_dsn": postgres.dsn("notification_fallback"),
            "notification_worker_dsn": postgres.dsn("notification_worker"),
            "reconciliation_dsn": postgres.dsn("reconciliation_api"),
            "reconciliation_query_dsn": postgres.dsn("reconciliation_query", standby=True),
            "reconciliation_fallback_dsn": postgres.dsn("reconciliation_fallback"),
            "reconciliation_consumer_dsn": postgres.dsn("reconciliation_consumer"),
            "reconciliation_worker_dsn": postgres.dsn("reconciliation_worker"),
            "relay_dsn": postgres.dsn("relay"),
        }
    else:
        dsns = {field: getattr(settings, field).get_secret_value() for field in POSTGRES_DSN_FIELDS}
    if valkey is not None:
        return Connections(dsns, valkey.url)
    assert settings.redis_url is not None  # noqa: S101 - embeds_redis is false
    return Connections(dsns, settings.redis_url.get_secret_value())


@dataclass(frozen=True)
class Wiring:
    """Makes the processes of services. `needs` are the servers' last steps."""

    settings: PlatformSettings
    layout: Layout
    secrets: SecretStore
    known: Connections
    needs: tuple[str, ...]

    @property
    def redis(self) -> dict[str, str]:
        """Tells where Redis is."""
        return {"LASTMILE_REDIS_URL": self.known.redis_url}

    @property
    def public_key(self) -> dict[str, str]:
        """Tells what verifies access tokens."""
        return {"LASTMILE_TOKEN_PUBLIC_KEY_FILE": str(self.secrets.token_public_key_file)}

    def dsns(self, *fields: str) -> dict[str, str]:
        """Tells these DSNs, by their settings."""
        return {variable(field): self.known.dsns[field] for field in fields}

    def process(
        self, name: str, module: tuple[str, ...], told: dict[str, str], ports: tuple[int, ...], is_ready: Probe
    ) -> ProcessSpec:
        """Make a process that is told where everything listens, and what `told` says."""
        return ProcessSpec(
            name,
            (sys.executable, "-m", *module),
            {**inherited(), **addresses(self.settings), **told, "PYTHONUNBUFFERED": "1"},
            self.layout.home,
            self.needs,
            ports,
            is_ready=is_ready,
            ready_timeout_s=self.settings.service_ready_timeout_s,
            grace_s=self.settings.service_grace_s,
        )


def numbered(name: str, index: int, count: int) -> str:
    """The name of one of `count` equal processes."""
    return name if count == 1 else f"{name}-{index + 1}"


def inherited() -> dict[str, str]:
    """What every service is told of the shell."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES))
        and not name.startswith(NOTIFICATION_PREFIX)
        and name not in SECRET_VARIABLES
    }


def addresses(settings: PlatformSettings) -> dict[str, str]:
    """Where everything listens: not secret, so every process may know."""
    played = {"LASTMILE_NETWORKS_FILE": str(settings.demo_networks_file)} if settings.plays_network else {}
    return played | {
        "LASTMILE_HOME": str(settings.home_path),
        "LASTMILE_HOST": str(settings.host),
        "LASTMILE_GATEWAY_HTTP_PORT": str(settings.gateway_http_port),
        "LASTMILE_GATEWAY_GRPC_PORT": str(settings.gateway_grpc_port),
        "LASTMILE_ASSIGNMENT_PORT": str(settings.assignment_port),
        "LASTMILE_ASSIGNMENT_CONSUMER_PORT": str(settings.assignment_consumer_port),
        "LASTMILE_ASSIGNMENT_CONSUMER_METRICS_PORT": str(settings.assignment_consumer_metrics_port),
        "LASTMILE_MATCHER_PORT": str(settings.matcher_port),
        "LASTMILE_MATCHER_METRICS_PORT": str(settings.matcher_metrics_port),
        "LASTMILE_DISPATCHER_PORT": str(settings.dispatcher_port),
        "LASTMILE_DISPATCHER_METRICS_PORT": str(settings.dispatcher_metrics_port),
        "LASTMILE_NOTIFICATION_PORT": str(settings.notification_port),
        "LASTMILE_NOTIFICATION_RECEIPTS_PORT": str(settings.notification_receipts_port),
        "LASTMILE_NOTIFICATION_CONSUMER_PORT": str(settings.notification_consumer_port),
        "LASTMILE_NOTIFICATION_CONSUMER_METRICS_PORT": str(settings.notification_consumer_metrics_port),
        "LASTMILE_NOTIFICATION_SENDER_PORT": str(settings.notification_sender_port),
        "LASTMILE_NOTIFICATION_SENDER_METRICS_PORT": str(settings.notification_sender_metrics_port),
        "LASTMILE_NOTIFICATION_ALERTER_PORT": str(settings.notification_alerter_port),
        "LASTMILE_NOTIFICATION_ALERTER_METRICS_PORT": str(settings.notification_alerter_metrics_port),
        "LASTMILE_NOTIFICATION_TARGET": f"{settings.host}:{settings.notification_port}",
        "LASTMILE_RELAY_PORT": str(settings.relay_port),
        "LASTMILE_RELAY_METRICS_PORT": str(settings.relay_metrics_port),
        "LASTMILE_RECONCILIATION_PORT": str(settings.reconciliation_port),
        "LASTMILE_RECONCILIATION_METRICS_PORT": str(settings.reconciliation_metrics_port),
        "LASTMILE_RECONCILIATION_CONSUMER_PORT": str(settings.reconciliation_consumer_port),
        "LASTMILE_RECONCILIATION_CONSUMER_METRICS_PORT": str(settings.reconciliation_consumer_metrics_port),
        "LASTMILE_RECONCILIATION_WORKER_PORT": str(settings.reconciliation_worker_port),
        "LASTMILE_RECONCILIATION_WORKER_METRICS_PORT": str(settings.reconciliation_worker_metrics_port),
        "LASTMILE_RECONCILIATION_TARGET": f"{settings.host}:{settings.reconciliation_port}",
        "LASTMILE_ASSIGNMENT_TARGET": f"{settings.host}:{settings.assignment_port}",
        "LASTMILE_ASSIGNMENT_QUERIES_TARGET": f"{settings.host}:{settings.assignment_queries_port}",
        "LASTMILE_RELAY_TARGET": f"{settings.host}:{settings.relay_port}",
        "LASTMILE_GATEWAY_TARGET": f"{settings.host}:{settings.gateway_grpc_port}",
        "LASTMILE_GATEWAY_URL": f"http://{settings.host}:{settings.gateway_http_port}",
    }

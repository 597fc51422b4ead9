"""The services as a table: how each is started, what it needs, what it is told, how one sees that it is ready."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from libs.embedded.layout import Layout
from libs.embedded.nodes import ProcessSpec
from libs.embedded.postgres import PostgresServers
from libs.embedded.readiness import Probe, grpc_health, http_ok
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import POSTGRES_DSN_FIELDS, PlatformSettings, variable
from libs.embedded.valkey import ValkeyServer

API, CONSUMER, MATCHER = "assignment-api", "assignment-consumer", "assignment-matcher"
GATEWAY, RELAY, DEMO = "gateway", "relay", "demo"
RECONCILIATION, RECONCILIATION_CONSUMER = "reconciliation-api", "reconciliation-consumer"
# What a service needs of the shell it was started from; anything named LASTMILE_ or OTEL_ is passed on besides.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "NO_COLOR")
PASSED_ON_PREFIXES = ("LASTMILE_", "OTEL_")
SECRET_VARIABLES = (
    *(variable(field) for field in POSTGRES_DSN_FIELDS),
    "LASTMILE_REDIS_URL",
    "LASTMILE_TOKEN_PRIVATE_KEY_FILE",
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
            "relay_dsn": postgres.dsn("relay"),
            "reconciliation_dsn": postgres.dsn("reconciliation_api"),
            "reconciliation_query_dsn": postgres.dsn("reconciliation_query", standby=True),
            "reconciliation_fallback_dsn": postgres.dsn("reconciliation_fallback"),
            "reconciliation_consumer_dsn": postgres.dsn("reconciliation_consumer"),
        }
    else:
        dsns = {field: getattr(settings, field).get_secret_value() for field in POSTGRES_DSN_FIELDS}
    if valkey is not None:
        return Connections(dsns, valkey.url)
    assert settings.redis_url is not None  # noqa: S101 - embeds_redis is false
    return Connections(dsns, settings.redis_url.get_secret_value())


def service_specs(
    settings: PlatformSettings, layout: Layout, secrets: SecretStore, known: Connections, needs: tuple[str, ...]
) -> list[ProcessSpec]:
    """The processes of every service, in the order in which they are shown. `needs` are the servers' last steps."""
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    public_key = {"LASTMILE_TOKEN_PUBLIC_KEY_FILE": str(secrets.token_public_key_file)}
    redis = {"LASTMILE_REDIS_URL": known.redis_url}

    def dsns(*fields: str) -> dict[str, str]:
        return {variable(field): known.dsns[field] for field in fields}

    spec = partial(_service, settings, layout, needs)
    specs = _assignment_specs(settings, spec, dsns, redis, public_key)
    gateway_told = dsns("gateway_dsn", "gateway_query_dsn", "gateway_fallback_dsn") | redis | public_key
    gateway_told["LASTMILE_TOKEN_PRIVATE_KEY_FILE"] = str(secrets.token_private_key_file)
    gateway_told["LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE"] = str(secrets.ops_api_key_file)
    specs += [
        spec(
            GATEWAY,
            ("services.gateway",),
            gateway_told,
            (settings.gateway_http_port, settings.gateway_grpc_port),
            http_ok(host, settings.gateway_http_port, "/readyz", timeout_s),
        ),
        spec(
            RELAY,
            ("services.relay",),
            dsns("relay_dsn") | redis | public_key,
            (settings.relay_port, settings.relay_metrics_port),
            grpc_health(host, settings.relay_port, timeout_s),
        ),
    ]
    return specs + _reconciliation_specs(settings, spec, dsns, redis, public_key)


def _assignment_specs(
    settings: PlatformSettings,
    spec: Callable[..., ProcessSpec],
    dsns: Callable[..., dict[str, str]],
    redis: dict[str, str],
    public_key: dict[str, str],
) -> list[ProcessSpec]:
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    specs = [
        spec(
            numbered(API, index, settings.assignment_api_processes),
            ("services.assignment", "api"),
            dsns("assignment_dsn", "assignment_query_dsn", "assignment_fallback_dsn")
            | redis
            | public_key
            | {"LASTMILE_ASSIGNMENT_METRICS_PORT": str(settings.assignment_metrics_port + index)},
            (settings.assignment_port, settings.assignment_metrics_port + index),
            grpc_health(host, settings.assignment_port, timeout_s),
        )
        for index in range(settings.assignment_api_processes)
    ]
    specs += [
        spec(
            numbered(MATCHER, index, settings.matcher_processes),
            ("services.assignment", "matcher"),
            dsns("matcher_dsn") | redis | public_key | _matcher_ports(settings, index),
            (settings.matcher_port + index, settings.matcher_metrics_port + index),
            grpc_health(host, settings.matcher_port + index, timeout_s),
        )
        for index in range(settings.matcher_processes)
    ]
    specs.append(
        spec(
            CONSUMER,
            ("services.assignment", "consumer"),
            dsns("assignment_dsn") | redis,
            (settings.assignment_consumer_port, settings.assignment_consumer_metrics_port),
            grpc_health(host, settings.assignment_consumer_port, timeout_s),
        )
    )
    return specs


def _reconciliation_specs(
    settings: PlatformSettings,
    spec: Callable[..., ProcessSpec],
    dsns: Callable[..., dict[str, str]],
    redis: dict[str, str],
    public_key: dict[str, str],
) -> list[ProcessSpec]:
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    return [
        spec(
            RECONCILIATION,
            ("services.reconciliation", "api"),
            dsns("reconciliation_dsn", "reconciliation_query_dsn", "reconciliation_fallback_dsn") | public_key,
            (settings.reconciliation_port, settings.reconciliation_metrics_port),
            grpc_health(host, settings.reconciliation_port, timeout_s),
        ),
        spec(
            RECONCILIATION_CONSUMER,
            ("services.reconciliation", "consumer"),
            dsns("reconciliation_consumer_dsn") | redis,
            (settings.reconciliation_consumer_port, settings.reconciliation_consumer_metrics_port),
            grpc_health(host, settings.reconciliation_consumer_port, timeout_s),
        ),
    ]


def _service(
    settings: PlatformSettings,
    layout: Layout,
    needs: tuple[str, ...],
    name: str,
    module: tuple[str, ...],
    told: dict[str, str],
    ports: tuple[int, ...],
    is_ready: Probe,
) -> ProcessSpec:
    return ProcessSpec(
        name,
        (sys.executable, "-m", *module),
        {**_inherited(), **_addresses(settings), **told, "PYTHONUNBUFFERED": "1"},
        layout.home,
        needs,
        ports,
        is_ready=is_ready,
        ready_timeout_s=settings.service_ready_timeout_s,
        grace_s=settings.service_grace_s,
    )


def demo_spec(settings: PlatformSettings, layout: Layout, secrets: SecretStore, needs: tuple[str, ...]) -> ProcessSpec:
    """The gentle synthetic traffic: a client of the public API like any other, with nothing but the ops key."""
    told = {"LASTMILE_API_KEY_FILE": str(secrets.ops_api_key_file), "PYTHONUNBUFFERED": "1"}
    return ProcessSpec(
        DEMO,
        (sys.executable, "-m", "cli", "demo", "--rate", str(settings.demo_rate_per_min)),
        {**_inherited(), **_addresses(settings), **told},
        layout.home,
        needs=needs,
        grace_s=settings.service_grace_s,
    )


def numbered(name: str, index: int, count: int) -> str:
    """The name of one of `count` equal processes."""
    return name if count == 1 else f"{name}-{index + 1}"


def _matcher_ports(settings: PlatformSettings, index: int) -> dict[str, str]:
    return {
        "LASTMILE_MATCHER_PORT": str(settings.matcher_port + index),
        "LASTMILE_MATCHER_METRICS_PORT": str(settings.matcher_metrics_port + index),
    }


def _inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if (name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)) and name not in SECRET_VARIABLES
    }


def _addresses(settings: PlatformSettings) -> dict[str, str]:
    """Where everything listens: not secret, so every process may know."""
    return {
        "LASTMILE_HOME": str(settings.home_path),
        "LASTMILE_HOST": str(settings.host),
        "LASTMILE_GATEWAY_HTTP_PORT": str(settings.gateway_http_port),
        "LASTMILE_GATEWAY_GRPC_PORT": str(settings.gateway_grpc_port),
        "LASTMILE_ASSIGNMENT_PORT": str(settings.assignment_port),
        "LASTMILE_ASSIGNMENT_CONSUMER_PORT": str(settings.assignment_consumer_port),
        "LASTMILE_ASSIGNMENT_CONSUMER_METRICS_PORT": str(settings.assignment_consumer_metrics_port),
        "LASTMILE_MATCHER_PORT": str(settings.matcher_port),
        "LASTMILE_MATCHER_METRICS_PORT": str(settings.matcher_metrics_port),
        "LASTMILE_RELAY_PORT": str(settings.relay_port),
        "LASTMILE_RELAY_METRICS_PORT": str(settings.relay_metrics_port),
        "LASTMILE_RECONCILIATION_PORT": str(settings.reconciliation_port),
        "LASTMILE_RECONCILIATION_METRICS_PORT": str(settings.reconciliation_metrics_port),
        "LASTMILE_RECONCILIATION_CONSUMER_PORT": str(settings.reconciliation_consumer_port),
        "LASTMILE_RECONCILIATION_CONSUMER_METRICS_PORT": str(settings.reconciliation_consumer_metrics_port),
        "LASTMILE_RECONCILIATION_TARGET": f"{settings.host}:{settings.reconciliation_port}",
        "LASTMILE_ASSIGNMENT_TARGET": f"{settings.host}:{settings.assignment_port}",
        "LASTMILE_RELAY_TARGET": f"{settings.host}:{settings.relay_port}",
        "LASTMILE_GATEWAY_TARGET": f"{settings.host}:{settings.gateway_grpc_port}",
        "LASTMILE_GATEWAY_URL": f"http://{settings.host}:{settings.gateway_http_port}",
    }

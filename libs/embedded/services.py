"""The services as a table: how each is started, what it needs, what it is told, how one sees that it is ready."""

import sys

from libs.embedded import demo_network
from libs.embedded.assignment_services import assignment_specs
from libs.embedded.layout import Layout
from libs.embedded.nodes import ProcessSpec
from libs.embedded.notification_services import notification_specs
from libs.embedded.readiness import grpc_health, http_ok
from libs.embedded.reconciliation_services import reconciliation_specs
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import SERVICES, PlatformSettings
from libs.embedded.wiring import Connections, Wiring, addresses, inherited

GATEWAY, RELAY, DEMO = "gateway", "relay", "demo"
_SPECS = {
    "assignment": assignment_specs,
    "notification": notification_specs,
    "reconciliation": reconciliation_specs,
}


def service_specs(
    settings: PlatformSettings, layout: Layout, secrets: SecretStore, known: Connections, needs: tuple[str, ...]
) -> list[ProcessSpec]:
    """The processes of every service, in the order in which they are shown. `needs` are the servers' last steps."""
    wiring = Wiring(settings, layout, secrets, known, needs)
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    specs = [spec for name in SERVICES if name in settings.running_services for spec in _SPECS[name](wiring)]
    gateway_told = (
        wiring.dsns("gateway_dsn", "gateway_query_dsn", "gateway_fallback_dsn") | wiring.redis | wiring.public_key
    )
    gateway_told["LASTMILE_TOKEN_PRIVATE_KEY_FILE"] = str(secrets.token_private_key_file)
    gateway_told["LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE"] = str(secrets.ops_api_key_file)
    specs += [
        wiring.process(
            GATEWAY,
            ("services.gateway",),
            gateway_told,
            (settings.gateway_http_port, settings.gateway_grpc_port),
            http_ok(host, settings.gateway_http_port, "/readyz", timeout_s),
        ),
        wiring.process(
            RELAY,
            ("services.relay",),
            wiring.dsns("relay_dsn") | wiring.redis | wiring.public_key,
            (settings.relay_port, settings.relay_metrics_port),
            grpc_health(host, settings.relay_port, timeout_s),
        ),
    ]
    if settings.plays_network:
        specs.append(demo_network.network_spec(settings, layout, secrets, inherited(), needs))
    return specs


def demo_spec(settings: PlatformSettings, layout: Layout, secrets: SecretStore, needs: tuple[str, ...]) -> ProcessSpec:
    """The gentle synthetic traffic: a client of the public API like any other, with nothing but the ops key."""
    told = {"LASTMILE_API_KEY_FILE": str(secrets.ops_api_key_file), "PYTHONUNBUFFERED": "1"}
    network = ("--network", demo_network.CODE) if settings.plays_network else ()
    return ProcessSpec(
        DEMO,
        (sys.executable, "-m", "cli", "demo", "--rate", str(settings.demo_rate_per_min), *network),
        {**inherited(), **addresses(settings), **told},
        layout.home,
        needs=needs,
        grace_s=settings.service_grace_s,
    )

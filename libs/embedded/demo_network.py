"""The demo's partner network: `lastmile sandbox network`, its entry for the services, and the secret between them."""

import json
import sys

from libs.embedded.layout import Layout
from libs.embedded.nodes import ProcessSpec
from libs.embedded.readiness import http_ok
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import PlatformSettings

CODE, NAME = "sandbox", "sandbox-network"
# People, in the time of the demo's trips.
_BEHAVIOUR = {"accept_share": 0.9, "answer_ms": 3_000, "step_ms": 15_000}


def write_entry(settings: PlatformSettings, secrets: SecretStore) -> None:
    """Write the networks file that the services are told of."""
    entry = {
        "code": CODE,
        "base_url": f"http://{settings.host}:{settings.sandbox_network_port}",
        "webhook_secrets": [f"file:{secrets.network_secret_file}"],
    }
    settings.demo_networks_file.write_text(json.dumps([entry], indent=2) + "\n")


def network_spec(
    settings: PlatformSettings, layout: Layout, secrets: SecretStore, inherited: dict[str, str], needs: tuple[str, ...]
) -> ProcessSpec:
    """The network's process, started with the services."""
    host, port = str(settings.host), settings.sandbox_network_port
    gateway = f"http://{host}:{settings.gateway_http_port}"
    command = (
        *(sys.executable, "-m", "cli.sandbox", "network", "--host", host, "--port", str(port)),
        *("--webhook-url", f"{gateway}/webhooks/partner-networks/{CODE}"),
        *("--secret-file", str(secrets.network_secret_file), "--behaviour", json.dumps(_BEHAVIOUR)),
    )
    return ProcessSpec(
        NAME,
        command,
        {**inherited, "PYTHONUNBUFFERED": "1"},
        layout.home,
        needs,
        (port,),
        is_ready=http_ok(host, port, "/health", settings.probe_timeout_s),
        ready_timeout_s=settings.service_ready_timeout_s,
        grace_s=settings.service_grace_s,
    )

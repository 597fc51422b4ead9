"""The processes of the assignment service."""

from libs.embedded.nodes import ProcessSpec
from libs.embedded.readiness import grpc_health
from libs.embedded.settings import PlatformSettings
from libs.embedded.wiring import Wiring, numbered

API, CONSUMER, MATCHER = "assignment-api", "assignment-consumer", "assignment-matcher"
DISPATCHER = "assignment-dispatcher"
# The same program as the api, to which the gateway sends reads: they queue for nothing that a command waits for.
QUERIES = "assignment-queries"


def assignment_specs(wiring: Wiring) -> list[ProcessSpec]:
    """How each is started, what it is told, how one sees that it is ready."""
    settings = wiring.settings
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    contact_key = {"LASTMILE_CONTACT_PUBLIC_KEY_FILE": str(wiring.secrets.contact_public_key_file)}
    api_told = wiring.dsns("assignment_dsn", "assignment_query_dsn", "assignment_fallback_dsn")
    api_told |= wiring.redis | wiring.public_key | contact_key
    specs = [
        wiring.process(
            numbered(API, index, settings.assignment_api_processes),
            ("services.assignment", "api"),
            api_told | {"LASTMILE_ASSIGNMENT_METRICS_PORT": str(settings.assignment_metrics_port + index)},
            (settings.assignment_port, settings.assignment_metrics_port + index),
            grpc_health(host, settings.assignment_port, timeout_s),
        )
        for index in range(settings.assignment_api_processes)
    ]
    specs.append(
        wiring.process(
            QUERIES,
            ("services.assignment", "api"),
            api_told
            | {
                "LASTMILE_ASSIGNMENT_PORT": str(settings.assignment_queries_port),
                "LASTMILE_ASSIGNMENT_METRICS_PORT": str(settings.assignment_queries_metrics_port),
                "LASTMILE_ASSIGNMENT_NICENESS": str(settings.assignment_queries_niceness),
            },
            (settings.assignment_queries_port, settings.assignment_queries_metrics_port),
            grpc_health(host, settings.assignment_queries_port, timeout_s),
        )
    )
    specs += [
        wiring.process(
            numbered(MATCHER, index, settings.matcher_processes),
            ("services.assignment", "matcher"),
            wiring.dsns("matcher_dsn") | wiring.redis | wiring.public_key | _matcher_ports(settings, index),
            (settings.matcher_port + index, settings.matcher_metrics_port + index),
            grpc_health(host, settings.matcher_port + index, timeout_s),
        )
        for index in range(settings.matcher_processes)
    ]
    specs.append(
        wiring.process(
            CONSUMER,
            ("services.assignment", "consumer"),
            wiring.dsns("assignment_dsn") | wiring.redis,
            (settings.assignment_consumer_port, settings.assignment_consumer_metrics_port),
            grpc_health(host, settings.assignment_consumer_port, timeout_s),
        )
    )
    specs.append(
        wiring.process(
            DISPATCHER,
            ("services.assignment", "dispatcher"),
            wiring.dsns("assignment_dsn") | wiring.redis,
            (settings.dispatcher_port, settings.dispatcher_metrics_port),
            grpc_health(host, settings.dispatcher_port, timeout_s),
        )
    )
    return specs


def _matcher_ports(settings: PlatformSettings, index: int) -> dict[str, str]:
    return {
        "LASTMILE_MATCHER_PORT": str(settings.matcher_port + index),
        "LASTMILE_MATCHER_METRICS_PORT": str(settings.matcher_metrics_port + index),
    }

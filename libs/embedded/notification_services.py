"""The processes of the notification service."""

import os

from libs.embedded.nodes import ProcessSpec
from libs.embedded.readiness import grpc_health
from libs.embedded.wiring import NOTIFICATION_PREFIX, SECRET_VARIABLES, Wiring

NOTIFICATION_API, PLANNER, SENDER = "notification-api", "notification-consumer", "notification-sender"
ALERTER = "notification-alerter"
# What the alerter is told of what the service is told.
_OF_ALERTER = tuple(f"{NOTIFICATION_PREFIX}{part}" for part in ("ALERT", "CIRCUITS", "ROUTES"))


def notification_specs(wiring: Wiring) -> list[ProcessSpec]:
    """How each is started, what it is told, how one sees that it is ready."""
    settings = wiring.settings
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    vault = {"LASTMILE_NOTIFICATION_VAULT_FILE": str(wiring.secrets.notification_vault_file)}
    # Providers' secrets among them.
    own = {name: value for name, value in os.environ.items() if name.startswith(NOTIFICATION_PREFIX)}
    own = {name: value for name, value in own.items() if name not in SECRET_VARIABLES}
    common = own | wiring.redis | vault
    # It asks no provider, and opens no address.
    of_alerter = {name: value for name, value in own.items() if name.startswith(_OF_ALERTER)}
    worker = common | wiring.dsns("notification_worker_dsn")
    # Secrets of the shell, for a sender that has Amazon SES on a route, and for no other.
    has_ses = '"ses' in own.get(f"{NOTIFICATION_PREFIX}ROUTES", "")
    of_aws = {name: value for name, value in os.environ.items() if has_ses and name.startswith("AWS_")}
    return [
        wiring.process(
            NOTIFICATION_API,
            ("services.notification", "api"),
            common
            | wiring.public_key
            | wiring.dsns("notification_dsn", "notification_query_dsn", "notification_fallback_dsn"),
            (settings.notification_port, settings.notification_receipts_port),
            grpc_health(host, settings.notification_port, timeout_s),
        ),
        wiring.process(
            PLANNER,
            ("services.notification", "consumer"),
            worker | {"LASTMILE_CONTACT_PRIVATE_KEY_FILE": str(wiring.secrets.contact_private_key_file)},
            (settings.notification_consumer_port, settings.notification_consumer_metrics_port),
            grpc_health(host, settings.notification_consumer_port, timeout_s),
        ),
        wiring.process(
            SENDER,
            ("services.notification", "sender"),
            worker | of_aws,
            (settings.notification_sender_port, settings.notification_sender_metrics_port),
            grpc_health(host, settings.notification_sender_port, timeout_s),
        ),
        wiring.process(
            ALERTER,
            ("services.notification", "alerter"),
            of_alerter | wiring.redis | wiring.dsns("notification_worker_dsn"),
            (settings.notification_alerter_port, settings.notification_alerter_metrics_port),
            grpc_health(host, settings.notification_alerter_port, timeout_s),
        ),
    ]

"""The notification service's processes, each with what it needs to know and no more."""

from collections.abc import Callable, Mapping

from libs.embedded.nodes import ProcessSpec
from libs.embedded.readiness import grpc_health
from libs.embedded.secret_store import SecretStore
from libs.embedded.settings import PlatformSettings

NOTIFICATION_API, PLANNER, SENDER = "notification-api", "notification-consumer", "notification-sender"
ALERTER = "notification-alerter"
# What is told to the notification service and to nobody else.
NOTIFICATION_PREFIX = "LASTMILE_NOTIFICATION_"
# What the alerter is told of what the service is told.
_OF_ALERTER = tuple(f"{NOTIFICATION_PREFIX}{part}" for part in ("ALERT", "CIRCUITS", "ROUTES"))


def notification_specs(
    settings: PlatformSettings,
    spec: Callable[..., ProcessSpec],
    dsns: Callable[..., dict[str, str]],
    own: Mapping[str, str],
    redis: dict[str, str],
    public_key: dict[str, str],
    secrets: SecretStore,
) -> list[ProcessSpec]:
    """Return the service's processes. `own` is what whoever started the platform has said to the service."""
    host, timeout_s = str(settings.host), settings.probe_timeout_s
    vault = {"LASTMILE_NOTIFICATION_VAULT_FILE": str(secrets.notification_vault_file)}
    # Providers' secrets among them.
    common = {**own, **redis, **vault}
    # It asks no provider, and opens no address.
    of_alerter = {name: value for name, value in own.items() if name.startswith(_OF_ALERTER)}
    worker = common | dsns("notification_worker_dsn")
    return [
        spec(
            NOTIFICATION_API,
            ("services.notification", "api"),
            common | public_key | dsns("notification_dsn", "notification_query_dsn", "notification_fallback_dsn"),
            (settings.notification_port, settings.notification_receipts_port),
            grpc_health(host, settings.notification_port, timeout_s),
        ),
        spec(
            PLANNER,
            ("services.notification", "consumer"),
            worker | {"LASTMILE_CONTACT_PRIVATE_KEY_FILE": str(secrets.contact_private_key_file)},
            (settings.notification_consumer_port, settings.notification_consumer_metrics_port),
            grpc_health(host, settings.notification_consumer_port, timeout_s),
        ),
        spec(
            SENDER,
            ("services.notification", "sender"),
            worker,
            (settings.notification_sender_port, settings.notification_sender_metrics_port),
            grpc_health(host, settings.notification_sender_port, timeout_s),
        ),
        spec(
            ALERTER,
            ("services.notification", "alerter"),
            of_alerter | redis | dsns("notification_worker_dsn"),
            (settings.notification_alerter_port, settings.notification_alerter_metrics_port),
            grpc_health(host, settings.notification_alerter_port, timeout_s),
        ),
    ]

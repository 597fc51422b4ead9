"""The configuration files of the embedded PostgreSQL servers, rendered whole at every start."""

from pathlib import Path

from libs.embedded.secret_store import REPLICATION_ROLE
from libs.embedded.settings import PlatformSettings

STANDBY_SLOT = "standby"
STANDBY_APPLICATION = "lastmile_standby"
# Where the standby asks about the slots: a database that holds nothing.
SLOTS_DATABASE = "postgres"
# A checkpoint comes after about half of it, and after each, pages are logged whole again: so it grows with the buffers.
_WAL_MB_MIN = 2048
HEADER = "# Written at every start of the platform: changes made here are lost.\n"


def render_config(settings: PlatformSettings, *, port: int) -> dict[str, str]:
    """What both servers are told; the standby must not allow less than the primary."""
    return {
        "listen_addresses": str(settings.host),
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(settings.postgres_connections_max),
        "shared_buffers": f"{settings.postgres_shared_buffers_mb}MB",
        "shared_preload_libraries": "pg_stat_statements",
        "password_encryption": "scram-sha-256",
        "fsync": "on" if settings.postgres_fsync else "off",
        "synchronous_commit": "on",
        "wal_level": "logical",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "max_slot_wal_keep_size": f"{settings.postgres_slot_wal_mb_max}MB",
        "max_wal_size": f"{max(_WAL_MB_MIN, 2 * settings.postgres_shared_buffers_mb)}MB",
        "min_wal_size": "160MB",
        "checkpoint_timeout": "10min",
        "hot_standby": "on",
        "hot_standby_feedback": "on",
        "wal_receiver_status_interval": "1s",
        "wal_retrieve_retry_interval": "250ms",
        "io_workers": "1",
        "track_io_timing": "on",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_min_duration_statement": "1s",
    }


def primary_config() -> dict[str, str]:
    """What the primary is told in addition: no event is published that the standby could lack when it is promoted."""
    return {"synchronized_standby_slots": STANDBY_SLOT}


def standby_config(settings: PlatformSettings, password_file: Path) -> dict[str, str]:
    """What the standby is told in addition."""
    return {
        "primary_conninfo": (
            f"host={settings.host} port={settings.postgres_port} user={REPLICATION_ROLE} "
            f"application_name={STANDBY_APPLICATION} passfile='{password_file}' keepalives_idle=5 "
            f"dbname={SLOTS_DATABASE}"
        ),
        "primary_slot_name": STANDBY_SLOT,
        # The slot of the events exists here too, so that the relay goes on after a promotion.
        "sync_replication_slots": "on",
        # How far replaying may be behind because a query is in its way, which is cancelled then. PostgreSQL's own 30 s
        # were waited out by a fresh start.
        "max_standby_streaming_delay": "5s",
    }


def config_text(values: dict[str, str]) -> str:
    """A postgresql.conf."""
    return HEADER + "".join(f"{name} = '{_quoted(value)}'\n" for name, value in values.items())


def host_rules(settings: PlatformSettings) -> str:
    """A pg_hba.conf: passwords only, from this machine only; the replication role sees no database of ours."""
    source = f"{settings.host}/32"
    return HEADER + (
        f"host replication {REPLICATION_ROLE} {source} scram-sha-256\n"
        f"host {SLOTS_DATABASE} {REPLICATION_ROLE} {source} scram-sha-256\n"
        f"host all {REPLICATION_ROLE} {source} reject\n"
        f"host all all {source} scram-sha-256\n"
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")

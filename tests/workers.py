"""Processes of the notification service that tests kill, quick to notice what a dead one leaves behind."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from libs.embedded.free_ports import free_ports

QUICK = {
    "LASTMILE_NOTIFICATION_PLAN__QUIET_FROM_MIN": "0",
    "LASTMILE_NOTIFICATION_PLAN__QUIET_UNTIL_MIN": "0",
    "LASTMILE_NOTIFICATION_CONSUMER__LEASE_TTL_S": "1",
    "LASTMILE_NOTIFICATION_CONSUMER__LEASE_RENEW_S": "0.2",
    "LASTMILE_NOTIFICATION_CONSUMER__BATCH_EVENTS_MAX": "50",
    "LASTMILE_NOTIFICATION_SEND__LEASE_MARGIN_S": "0.5",
    "LASTMILE_NOTIFICATION_SEND__LOOK_UP_AFTER_S": "0.5",
    "LASTMILE_NOTIFICATION_SEND__POLL_S": "0.05",
    "LASTMILE_NOTIFICATION_SWEEP__EVERY_S": "0.2",
    "LASTMILE_NOTIFICATION_SWEEP__LOOK_AGAIN_S": "0.5",
    "LASTMILE_NOTIFICATION_RETRY__DELAYS_S": "[0.1, 0.1, 0.1, 0.1, 0.1]",
    "LASTMILE_NOTIFICATION_RETRY__NOT_ASKED_S": "0.1",
}
# Of a provider that hangs, resets and refuses, and is asked all the same.
LIMITS = json.dumps(
    {"deadline_ms": 3_000, "attempt_ms": 2_000, "wait_ms_max": 900, "at_once_max": 16, "failures_max": 1_000}
)


class Worker:
    """A process of the service that is started again whenever it is killed."""

    def __init__(self, kind: str, environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "services.notification", kind]
        ports = free_ports(2)
        own = {
            f"LASTMILE_NOTIFICATION_{kind.upper()}_PORT": str(ports[0]),
            f"LASTMILE_NOTIFICATION_{kind.upper()}_METRICS_PORT": "0",
        }
        if kind == "consumer":
            own[f"LASTMILE_NOTIFICATION_{kind.upper()}_METRICS_PORT"] = str(ports[1])
        self._environment = {**environment, **own}
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=output, stderr=output)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self.start()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


async def counts(owner: asyncpg.Connection) -> Counter[str]:
    """How many messages are in each state."""
    rows = await owner.fetch("SELECT state, count(*) AS n FROM notification.messages GROUP BY state")
    return Counter({row["state"]: row["n"] for row in rows})

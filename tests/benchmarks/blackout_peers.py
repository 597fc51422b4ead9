"""Peers of the blackout that are processes of their own: stopped by a signal they hang as a dead machine does."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvloop

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure
from services.notification.sending.process import SenderSettings, run_sender
from tests.peers.twilio import twilio_peer

# Two accounts, so that one may hang.
PROVIDERS = ("twilio:first", "twilio:second")


class Peer:
    """A process that can be stopped in the middle of everything, and go on."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self._process, self.url = process, url

    def hang(self) -> None:
        """Answer nothing any more; what comes is taken by the kernel, and kept."""
        self._process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Go on, with what has come meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> str:
        """End; return what it said at the end."""
        if self._process.poll() is None:
            self.heal()
            self._process.terminate()
        said, _ = self._process.communicate(timeout=60)
        return said


@contextmanager
def running(command: list[str], environment: Mapping[str, str]) -> Iterator[Peer]:
    """Run a peer that says its URL first."""
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found, f"{command}: {said}"
        yield Peer(process, found.group())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(60)


def twilio_command() -> list[str]:
    """A Twilio-shaped peer."""
    return [sys.executable, "-c", "from tests.benchmarks.blackout_peers import serve_twilio; serve_twilio()"]


def sender_command() -> list[str]:
    """A sender of text messages with both of PROVIDERS."""
    return [sys.executable, "-c", "from tests.benchmarks.blackout_peers import serve_sender; serve_sender()"]


def sender_environment(known: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, str]:
    """What that sender is told: what the platform's own are told, and where its providers are."""
    told = (
        dict(os.environ)
        | dict(known)
        | {
            "LASTMILE_NOTIFICATION_ROUTES": json.dumps({"sms": list(PROVIDERS)}),
            "LASTMILE_NOTIFICATION_SWEEP__EVERY_S": "2",
            "LASTMILE_NOTIFICATION_SWEEP__LOOK_AGAIN_S": "10",
        }
    )
    for name, url in urls.items():
        told |= {
            f"LASTMILE_NOTIFICATION_{name.upper().replace(':', '_')}_{part}": value
            for part, value in (
                ("BASE_URL", url), ("ACCOUNT_SID", "AC0123456789"), ("AUTH_TOKEN", "a secret of the account"),
                ("SENDER", "+15005550006"), ("CALLBACK_URL", "https://callbacks.example.com/receipts/twilio"),
            )
        }  # fmt: skip
    return told


def serve_twilio() -> None:
    """Serve until SIGTERM; then say what was taken: to whom, what, and by which attempt."""

    async def serve() -> None:
        stop = stop_on_signals()
        async with twilio_peer() as peer:
            print(peer.base_url, flush=True)
            await stop.wait()
            print(json.dumps([[taken.to, taken.body, taken.attempt_id] for taken in peer.taken]), flush=True)

    asyncio.run(serve())


def serve_sender() -> None:
    """Run the service's own sender, which says first that it is there."""
    settings = SenderSettings()
    configure("notification-sender", settings.log_level)
    print("http://sender", flush=True)

    async def serve() -> None:
        await run_sender(settings, stop_on_signals())

    uvloop.run(serve())

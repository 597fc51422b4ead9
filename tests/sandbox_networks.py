"""Partner networks for tests: their configuration, and `lastmile sandbox network` as a process."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from libs.embedded.free_ports import free_ports
from tests.rest import Json

# Quick to notice, quick to heal.
QUICK = {
    "deadline_ms": 2_000, "attempt_ms": 400, "wait_ms_max": 500, "at_once_max": 16, "waiting_max": 16,
    "attempts_max": 2, "backoff_ms": 20, "backoff_ms_max": 100, "failures_max": 3, "open_ms": 300, "return_ms": 1_000,
}  # fmt: skip

# Of a network whose calls do not run out of time, however busy the machine is.
PATIENT = QUICK | {"deadline_ms": 6_000, "attempt_ms": 5_000}


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


class SandboxProcess:
    """A network that runs, and what it says of itself."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)

    def behave(self, **behaviour: Any) -> None:
        """Have it behave as given, and as by default otherwise."""
        self.http.put("/control/behaviour", json=behaviour).raise_for_status()

    def tell(self, kind: str, offer_id: str, **data: Any) -> Json:
        """Have it send an update now, until it is taken; return the answer."""
        update = {"type": kind, "data": {"offer_id": offer_id, **data}}
        answer: Json = self.http.post("/control/updates", json=update).raise_for_status().json()
        return answer

    def record(self) -> Json:
        answer: Json = self.http.get("/control/record").json()
        return answer

    def offer(self, offer_id: str) -> Json | None:
        """Return what it was told of an offer."""
        found: Json | None = self.record()["offers"].get(offer_id)
        return found


class SandboxNetworks:
    """The networks of a stack. `file` configures them; each runs on a port of its own while a test has it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        codes = ("lent", "other", "polled", "shared")
        self.ports = dict(zip(codes, free_ports(len(codes)), strict=True))
        self.secrets = {code: folder / f"{code}.secret" for code in self.ports}
        for path in self.secrets.values():
            path.write_text(new_secret())
        self.file = folder / "networks.json"
        self.file.write_text(json.dumps([self._config(code) for code in self.ports]))

    def _config(self, code: str) -> Json:
        known: Json = {
            "code": code,
            "base_url": f"http://127.0.0.1:{self.ports[code]}",
            # That "lent" returns by and by is looked at: for long enough to be seen.
            "limits": PATIENT if code == "shared" else QUICK | ({"return_ms": 3_000} if code == "lent" else {}),
            "health_ms": 100,
        }
        if code == "polled":
            return known | {"poll_ms": 100}
        return known | {"webhook_secrets": [f"file:{self.secrets[code]}"]}

    @contextmanager
    def running(self, code: str, gateway_url: str, seed: int = 1, **behaviour: Any) -> Iterator[SandboxProcess]:
        """Run a network until the context ends."""
        command = [sys.executable, "-m", "cli.sandbox", "network", "--port", str(self.ports[code])]
        command += ["--seed", str(seed), "--behaviour", json.dumps(behaviour)]
        if code != "polled":
            command += ["--webhook-url", f"{gateway_url}/webhooks/partner-networks/{code}"]
            command += ["--secret-file", str(self.secrets[code])]
        process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"http://\S+", said)
            assert found, said
            yield SandboxProcess(found.group())
        finally:
            process.terminate()
            process.wait(10)

"""The demo's traffic on the whole platform: orders come in and reach their ends, and it stops when told."""

import signal
import subprocess
import sys
import time

from libs.embedded.stack import RunningStack
from tests.invariants import broken_invariants
from tests.rest import Rest, until

STOP_S_MAX, DEADLINE_S = 15.0, 120.0


async def test_deliveries_come_in_and_reach_their_ends(running_stack: RunningStack, ops: Rest) -> None:
    known = {"LASTMILE_API_KEY": running_stack.ops_api_key, "LASTMILE_GATEWAY_URL": running_stack.base_url}
    command = [sys.executable, "-m", "cli", "demo", "--rate", "600", "--time-lapse", "500"]
    with subprocess.Popen(
        command, env=running_stack.environment | known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        try:
            until(
                lambda: ops.get("/v1/deliveries?cityCode=MUM&states=DELIVERY_STATE_DELIVERED")["deliveries"], DEADLINE_S
            )
            until(lambda: ops.get("/v1/offers?cityCode=DEL&states=OFFER_STATE_COMPLETED")["offers"], DEADLINE_S)
            until(lambda: int(ops.get("/v1/ledger/accounts/platform/earnings/balance")["balancePaise"]), DEADLINE_S)
        finally:
            demo.send_signal(signal.SIGTERM)
            told_s = time.monotonic()
            output, _ = demo.communicate(timeout=30)
    assert demo.returncode == 0, output
    assert time.monotonic() - told_s < STOP_S_MAX
    assert "25 cities" in output
    assert "delivered" in output
    assert not await broken_invariants(running_stack.dsn())

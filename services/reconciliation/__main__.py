"""The reconciliation service's processes: `python -m services.reconciliation api|consumer|worker`."""

import argparse
import sys

import uvloop
from pydantic import ValidationError

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure


async def _api() -> None:
    from services.reconciliation.app import serve_api
    from services.reconciliation.settings import ApiSettings

    settings = ApiSettings()
    configure("reconciliation-api", settings.log_level)
    await serve_api(settings, stop_on_signals())


async def _consumer() -> None:
    from services.reconciliation.consumer import ConsumerSettings, run_handlers

    settings = ConsumerSettings()
    configure("reconciliation-consumer", settings.log_level)
    await run_handlers(settings, stop_on_signals())


async def _worker() -> None:
    from services.reconciliation.worker import WorkerSettings, run_worker

    settings = WorkerSettings()
    configure("reconciliation-worker", settings.log_level)
    await run_worker(settings, stop_on_signals())


PROCESSES = {"api": _api, "consumer": _consumer, "worker": _worker}


def main() -> int:
    """Run the named process until it is told to stop; 2 when a setting is missing or wrong."""
    parser = argparse.ArgumentParser(prog="python -m services.reconciliation", description=__doc__)
    parser.add_argument("process", choices=tuple(PROCESSES))
    process = parser.parse_args().process
    try:
        uvloop.run(PROCESSES[process]())
    except ValidationError as error:
        for problem in error.errors():
            name = "LASTMILE_" + "__".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The assignment service's processes: `python -m services.assignment api|matcher|consumer|dispatcher`."""

import argparse
import os
import sys

import uvloop
from pydantic import ValidationError

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure


async def _api() -> None:
    from services.assignment.app import serve_api
    from services.assignment.settings import ApiSettings

    settings = ApiSettings()
    os.nice(settings.assignment_niceness)
    configure("assignment-api", settings.log_level)
    await serve_api(settings, stop_on_signals())


async def _matcher() -> None:
    from services.assignment.windows.matcher import run_matcher
    from services.assignment.windows.settings import MatcherSettings

    settings = MatcherSettings()
    configure("assignment-matcher", settings.log_level)
    await run_matcher(settings, stop_on_signals())


async def _consumer() -> None:
    from services.assignment.consumer import ConsumerSettings, run_handlers

    settings = ConsumerSettings()
    configure("assignment-consumer", settings.log_level)
    await run_handlers(settings, stop_on_signals())


async def _dispatcher() -> None:
    from services.assignment.dispatch.dispatcher import run_dispatcher
    from services.assignment.dispatch.settings import DispatcherSettings

    settings = DispatcherSettings()
    configure("assignment-dispatcher", settings.log_level)
    await run_dispatcher(settings, stop_on_signals())


PROCESSES = {"api": _api, "matcher": _matcher, "consumer": _consumer, "dispatcher": _dispatcher}


def main() -> int:
    """Run the named process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m services.assignment", description=__doc__)
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

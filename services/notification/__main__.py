"""The notification service's processes: `python -m services.notification api|consumer|sender|alerter`."""

import argparse
import sys

import uvloop
from pydantic import ValidationError

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure


async def _api() -> None:
    from services.notification.app import serve_api
    from services.notification.settings import ApiSettings

    settings = ApiSettings()
    configure("notification-api", settings.log_level)
    await serve_api(settings, stop_on_signals())


async def _consumer() -> None:
    from services.notification.consumer import ConsumerSettings, run_handlers

    settings = ConsumerSettings()
    configure("notification-consumer", settings.log_level)
    await run_handlers(settings, stop_on_signals())


async def _sender() -> None:
    from services.notification.sending.process import SenderSettings, run_sender

    settings = SenderSettings()
    configure("notification-sender", settings.log_level)
    await run_sender(settings, stop_on_signals())


async def _alerter() -> None:
    from services.notification.alerts.process import AlerterSettings, run_alerter

    settings = AlerterSettings()
    configure("notification-alerter", settings.log_level)
    await run_alerter(settings, stop_on_signals())


PROCESSES = {"api": _api, "consumer": _consumer, "sender": _sender, "alerter": _alerter}


def main() -> int:
    """Run the named process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m services.notification", description=__doc__)
    parser.add_argument("process", choices=tuple(PROCESSES))
    process = parser.parse_args().process
    try:
        uvloop.run(PROCESSES[process]())
    except ValidationError as error:
        prefix = _prefix_of(error.title)
        for problem in error.errors():
            name = prefix + "__".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return 2
    return 0


def _prefix_of(settings_name: str) -> str:
    """Return what the variables of a settings object begin with: providers have their own."""
    from services.notification.providers.registry import discovered, prefix_of

    name, _, account = settings_name.partition(":")
    own = (prefix_of(kind, account) for kind in discovered().values() if kind.Settings.__name__ == name)
    return next(own, "LASTMILE_")


if __name__ == "__main__":
    sys.exit(main())

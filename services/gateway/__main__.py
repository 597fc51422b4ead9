"""The gateway's process: `python -m services.gateway`."""

import sys

import uvloop
from pydantic import ValidationError

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure
from services.gateway.app import serve_gateway
from services.gateway.settings import GatewaySettings


async def _serve() -> None:
    settings = GatewaySettings()
    configure("gateway", settings.log_level)
    await serve_gateway(settings, stop_on_signals())


def main() -> int:
    """Run until told to stop; 2 when a setting is missing or wrong."""
    try:
        uvloop.run(_serve())
    except ValidationError as error:
        for problem in error.errors():
            name = "LASTMILE_" + "__".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

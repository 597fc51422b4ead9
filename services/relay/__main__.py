"""The relay's process: `python -m services.relay [run|begin-epoch]`. begin-epoch is a step of the runbook."""

import argparse
import asyncio
import sys

import asyncpg
import uvloop
from pydantic import ValidationError

from libs.grpc_server.lifetime import stop_on_signals
from libs.telemetry import configure
from services.relay.errors import RelayError
from services.relay.settings import RelaySettings


async def _run() -> None:
    from services.relay.app import run_relay

    settings = RelaySettings()
    configure("relay", settings.log_level)
    await run_relay(settings, stop_on_signals())


async def _begin_epoch() -> None:
    from libs.postgres.event_slot import begin_epoch

    connection = await asyncpg.connect(str(RelaySettings().relay_dsn))
    try:
        epoch = await begin_epoch(connection)
    except asyncpg.ObjectInUseError as error:
        raise SystemExit(f"relay: {error}; stop every relay first") from None
    finally:
        await connection.close()
    sys.stdout.write(f"epoch {epoch} has begun: what is committed from now on is published\n")


def main() -> int:
    """Run until told to stop; 2 for a wrong setting, 3 when the slot is lost, 4 when the streams are."""
    parser = argparse.ArgumentParser(prog="python -m services.relay", description=__doc__)
    parser.add_argument("command", nargs="?", default="run", choices=("run", "begin-epoch"))
    command = parser.parse_args().command
    try:
        if command == "run":
            uvloop.run(_run())
        else:
            asyncio.run(_begin_epoch())
    except ValidationError as error:
        for problem in error.errors():
            name = "LASTMILE_" + "__".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return 2
    except BaseExceptionGroup as group:
        refusal = _refusal_in(group)
        if refusal is None:
            raise
        sys.stderr.write(f"relay: {refusal}\n")
        return refusal.exit_code
    return 0


def _refusal_in(group: BaseExceptionGroup[BaseException]) -> RelayError | None:
    for error in group.exceptions:
        found = _refusal_in(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, RelayError):
            return found
    return None


if __name__ == "__main__":
    sys.exit(main())

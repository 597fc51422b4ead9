"""`python -m libs.embedded [--servers-only] [--until-stdin-ends]`: the platform without the command line around it."""

import os
import signal
import sys
import threading

from libs.embedded.errors import PlatformError
from libs.embedded.platform import run_platform
from libs.embedded.settings import load_settings


def main(arguments: list[str]) -> int:
    """Run until stopped; 1 with the reason on stderr when the platform cannot."""
    if "--until-stdin-ends" in arguments:
        threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()
    try:
        run_platform(load_settings(), servers_only="--servers-only" in arguments)
    except PlatformError as error:
        sys.stderr.write(f"lastmile: {error}\n")
        return 1
    return 0


def _stop_when_stdin_ends() -> None:
    # Not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

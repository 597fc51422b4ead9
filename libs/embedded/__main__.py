"""`python -m libs.embedded [--servers-only]`: run the platform in the foreground, without the command line around it."""

import sys

from libs.embedded.errors import PlatformError
from libs.embedded.platform import run_platform
from libs.embedded.settings import load_settings


def main() -> int:
    """Run until stopped; 1 with the reason on stderr when the platform cannot."""
    try:
        run_platform(load_settings(), servers_only="--servers-only" in sys.argv[1:])
    except PlatformError as error:
        sys.stderr.write(f"lastmile: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

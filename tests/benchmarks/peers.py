"""Environments of their own for peers: what they ask for does not go together with what we ask for."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def peer_python(lock_name: str, peer: str) -> Path:
    """Return the Python of the environment of requirements/<lock_name>.lock, made first when there is none for it."""
    lock, folder = ROOT / "requirements" / f"{lock_name}.lock", ROOT / "build" / "bench" / peer
    python, ready = folder / "bin" / "python", folder / "lock"
    if not ready.exists() or ready.read_bytes() != lock.read_bytes():
        print(f"installing {lock.name} into {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)]
        subprocess.run(command, check=True)
        ready.write_bytes(lock.read_bytes())
    return python

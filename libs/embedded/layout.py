"""Where everything lives below LASTMILE_HOME, and which account the servers run as.

PostgreSQL refuses to run as root, so as root the servers run as `nobody`. Where that account cannot reach
LASTMILE_HOME (a private temporary directory, /root), their data lives below LASTMILE_SERVER_DATA_PARENT instead.
"""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from libs.embedded.errors import LayoutError
from libs.embedded.settings import PlatformSettings


@dataclass(frozen=True)
class Account:
    """The account the servers run as, when it is not the supervisor's own."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Layout:
    """The directories of one platform. `servers` is below `home` unless it is `relocated`."""

    home: Path
    servers: Path
    account: Account | None

    @property
    def relocated(self) -> bool:
        """Whether the servers' data had to live outside LASTMILE_HOME."""
        return not self.servers.is_relative_to(self.home)

    @property
    def secrets(self) -> Path:
        """Passwords and keys; readable by the owner only."""
        return self.home / "secrets"

    @property
    def run(self) -> Path:
        """What only matters while the platform runs: the lock, process identities, the state."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log a process, bounded in size."""
        return self.home / "logs"

    @property
    def primary(self) -> Path:
        """The data of the PostgreSQL primary."""
        return self.servers / "primary"

    @property
    def standby(self) -> Path:
        """The data of the PostgreSQL standby; can be built anew from the primary."""
        return self.servers / "standby"

    @property
    def valkey(self) -> Path:
        """The data of Valkey."""
        return self.servers / "valkey"


def plan_layout(settings: PlatformSettings) -> Layout:
    """Decide where everything lives; creates nothing."""
    home = settings.home_path
    account = _server_account()
    if account is None or reachable_by(home, account):
        return Layout(home, home / "servers", account)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Layout(home, settings.server_data_parent.resolve() / f"lastmile-{digest}", account)


def create_layout(layout: Layout) -> None:
    """Make the directories that are missing, each with the narrowest mode that works.

    Raises LayoutError when one cannot be made, or exists and is not safe to use.
    """
    try:
        layout.home.mkdir(parents=True, exist_ok=True)
        _require_writable(layout.home)
        layout.home.chmod(0o711 if layout.account and not layout.relocated else 0o700)
        (layout.home / ".gitignore").write_text("*\n")
        for private in (layout.secrets, layout.run, layout.logs):
            private.mkdir(exist_ok=True)
            private.chmod(0o700)
        layout.servers.parent.mkdir(parents=True, exist_ok=True)
        layout.servers.mkdir(exist_ok=True)
        _require_own(layout.servers)
        layout.servers.chmod(0o711 if layout.account else 0o700)
        hand_over(layout.valkey, layout)
    except OSError as error:
        raise LayoutError(f"{error.filename}: {error.strerror}; set LASTMILE_HOME to a directory you own") from error
    if layout.account is not None and not reachable_by(layout.servers / "primary", layout.account):
        raise LayoutError(f"{layout.account.name}, who runs the servers, cannot reach {layout.servers}")
    for data in (layout.primary, layout.standby, layout.valkey):
        require_owner(data, layout)


def hand_over(directory: Path, layout: Layout) -> None:
    """Make a directory, if it is missing, that only the servers' account may enter."""
    directory.mkdir(exist_ok=True)
    if layout.account is not None:
        os.chown(directory, layout.account.uid, layout.account.gid)
    directory.chmod(0o700)


def write_private(path: Path, text: str, layout: Layout) -> None:
    """Write a file that only the servers' account may read, replacing it at once and whole."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if layout.account is not None:
            os.fchown(file.fileno(), layout.account.uid, layout.account.gid)
    draft.replace(path)


def require_owner(data: Path, layout: Layout) -> None:
    """Raise LayoutError when a data directory belongs to another account than the one that would use it."""
    expected = layout.account.uid if layout.account else os.geteuid()
    if data.exists() and data.stat().st_uid != expected:
        raise LayoutError(
            f"{data} belongs to {_user_name(data.stat().st_uid)}, but the servers would run as {_user_name(expected)}: "
            "run as the user who created it, or set LASTMILE_HOME to another directory"
        )


def reachable_by(directory: Path, account: Account) -> bool:
    """Whether the account may pass through every existing directory above `directory`."""
    existing = [path for path in (directory.parent, *directory.parent.parents) if path.exists()]
    return all(_allows(path.stat(), account, stat.S_IXOTH) for path in existing)


def readable_by(path: Path, account: Account) -> bool:
    """Whether the account may read the file, directories on the way included."""
    return reachable_by(path, account) and _allows(path.stat(), account, stat.S_IROTH)


def _allows(found: os.stat_result, account: Account, right: int) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & (right << 6))
    if found.st_gid == account.gid:
        return bool(found.st_mode & (right << 3))
    return bool(found.st_mode & right)


def _server_account() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise LayoutError(
            "PostgreSQL refuses to run as root and there is no account `nobody` to run it as: start as a normal user"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _require_writable(home: Path) -> None:
    if not os.access(home, os.W_OK | os.X_OK):
        raise LayoutError(f"{home} is not writable: set LASTMILE_HOME to a directory you own")


def _require_own(directory: Path) -> None:
    """A directory in a shared place may have been planted there: take it only when nobody else could change it."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LayoutError(
            f"{directory} exists and is not a directory that only {_user_name(os.geteuid())} can change: remove it, "
            "or set LASTMILE_HOME to another directory"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

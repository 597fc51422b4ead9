"""What can go wrong while the platform is started, stopped or inspected.

PlatformError
├── SettingsError        a setting is missing or contradicts another
├── PortTakenError       a port the platform needs is held by somebody else
├── LayoutError          a directory or a file of LASTMILE_HOME cannot be used as it is
├── BinaryMissingError   a server's binary is not installed
├── CommandFailedError   a server's tool (initdb, pg_basebackup) failed
├── AlreadyRunningError  another supervisor owns LASTMILE_HOME
└── NotReadyError        the platform did not become ready in time
"""


class PlatformError(RuntimeError):
    """The platform cannot do what was asked; the message says what to do about it."""


class SettingsError(PlatformError):
    """A setting is missing or contradicts another; the message names the variable."""


class PortTakenError(PlatformError):
    """A port is held by another process; the message names the port, its setting and, if it can be told, the holder."""


class LayoutError(PlatformError):
    """A directory or a file of LASTMILE_HOME cannot be used as it is."""


class BinaryMissingError(PlatformError):
    """A server's binary is not installed."""


class CommandFailedError(PlatformError):
    """A server's tool exited with an error; the message carries the end of its output."""


class AlreadyRunningError(PlatformError):
    """Another supervisor owns this LASTMILE_HOME."""


class NotReadyError(PlatformError):
    """The platform did not become ready in time."""

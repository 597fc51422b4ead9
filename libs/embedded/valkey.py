"""The embedded Valkey: its configuration file, which also keeps the password off the command line."""

import asyncio
from dataclasses import dataclass

from libs.embedded.layout import Layout, write_private
from libs.embedded.secret_store import REDIS, SecretStore
from libs.embedded.settings import PlatformSettings

CONFIG_NAME = "valkey.conf"


@dataclass(frozen=True)
class ValkeyServer:
    """The Valkey of one layout."""

    settings: PlatformSettings
    layout: Layout
    secrets: SecretStore

    @property
    def url(self) -> str:
        """How every service connects."""
        return f"redis://:{self.secrets.password(REDIS)}@{self.settings.host}:{self.settings.redis_port}/0"

    async def prepare(self) -> None:
        """Write the configuration file."""
        values = {
            "bind": str(self.settings.host),
            "port": str(self.settings.redis_port),
            "dir": f'"{self.layout.valkey}"',
            "requirepass": self.secrets.password(REDIS),
            "maxmemory": f"{self.settings.redis_memory_mb_max}mb",
            # A full store refuses writes, which callers see and count; evicting would lose positions silently.
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": '""',
            "daemonize": "no",
            "loglevel": "notice",
        }
        text = "".join(f"{name} {value}\n" for name, value in values.items())
        write_private(self.layout.valkey / CONFIG_NAME, text, self.layout)

    async def is_ready(self) -> bool:
        """Whether it answers, with its data loaded."""
        try:
            async with asyncio.timeout(self.settings.probe_timeout_s):
                reader, writer = await asyncio.open_connection(str(self.settings.host), self.settings.redis_port)
                try:
                    writer.write(f"AUTH {self.secrets.password(REDIS)}\r\nPING\r\n".encode())
                    await writer.drain()
                    return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

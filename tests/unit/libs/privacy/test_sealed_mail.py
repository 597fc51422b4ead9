"""Whoever seals for another cannot open; what is opened is what was sealed, for the same purpose."""

from pathlib import Path

import pytest

from libs.privacy.sealed_mail import MailKeyError, Opener, Sealer, new_key_pem, public_pem_of
from libs.privacy.vault import TamperedError


def test_only_the_receiver_opens_and_only_for_the_purpose(tmp_path: Path) -> None:
    private, public, foreign = tmp_path / "private", tmp_path / "public", tmp_path / "foreign"
    private.write_text(new_key_pem())
    public.write_text(public_pem_of(private.read_text()))
    foreign.write_text(new_key_pem())
    sealed = Sealer(public).seal(b"+919876543210", b"customer")
    assert b"9876" not in sealed
    assert Opener(private).open(sealed, b"customer") == b"+919876543210"
    for opener, purpose, content in (
        (Opener(foreign), b"customer", sealed),
        (Opener(private), b"partner", sealed),
        (Opener(private), b"customer", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (Opener(private), b"customer", b""),
    ):
        with pytest.raises(TamperedError):
            opener.open(content, purpose)


def test_a_file_without_the_right_key_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    for content in ("", "nonsense", new_key_pem()):
        file.write_text(content)
        with pytest.raises(MailKeyError, match=r"key\.pem"):
            Sealer(file)
    file.write_text(public_pem_of(new_key_pem()))
    with pytest.raises(MailKeyError, match=r"key\.pem"):
        Opener(file)

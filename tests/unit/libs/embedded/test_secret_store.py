from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from libs.embedded.errors import LayoutError
from libs.embedded.secret_store import SecretStore


def contents(store: SecretStore) -> dict[str, str]:
    return {path.name: path.read_text() for path in store.directory.iterdir()}


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.create_missing()
    made = contents(store)
    assert {"lastmile_password", "gateway_password", "redis_password", "ops_api_key", "token_private.pem"} <= set(made)
    assert store.exposed() == []
    store.create_missing()
    assert contents(store) == made
    assert len(set(made.values())) == len(made)
    assert made["ops_api_key"].startswith("lm_")


def test_the_public_key_verifies_what_the_private_one_signs(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.create_missing()
    store.token_public_key_file.write_text("lost")
    store.create_missing()
    private = load_pem_private_key(store.token_private_key_file.read_bytes(), None)
    public = load_pem_public_key(store.token_public_key_file.read_bytes())
    public.verify(private.sign(b"token"), b"token")  # type: ignore[union-attr, call-arg]  # both are Ed25519 keys


def test_a_secret_that_others_may_read_is_found_and_then_closed(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.create_missing()
    store.ops_api_key_file.chmod(0o644)
    assert store.exposed() == [store.ops_api_key_file]
    store.create_missing()
    assert store.exposed() == []


def test_an_empty_secret_is_refused_rather_than_used(tmp_path: Path) -> None:
    (tmp_path / "gateway_password").write_text("\n")
    with pytest.raises(LayoutError, match="gateway_password is empty"):
        SecretStore(tmp_path).create_missing()


def test_a_broken_private_key_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "token_private.pem").write_text("not a key")
    with pytest.raises(LayoutError, match=r"token_private\.pem"):
        SecretStore(tmp_path).create_missing()

"""What one service hands to another through places that many read: sealed to the receiver's public key.

HPKE in base mode, RFC 9180, with X25519, HKDF-SHA256 and AES-256-GCM: whoever seals cannot open.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from libs.privacy.vault import TamperedError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class MailKeyError(ValueError):
    """The file holds no X25519 key in PEM."""


class Sealer:
    """Seals for one receiver: 0.1 ms each."""

    def __init__(self, public_key_file: Path) -> None:
        """Raises MailKeyError for a file without such a key."""
        key = _loaded(load_pem_public_key, public_key_file)
        if not isinstance(key, X25519PublicKey):
            raise MailKeyError(f"{public_key_file} holds no X25519 public key")
        self._key = key

    def seal(self, content: bytes, purpose: bytes) -> bytes:
        """Return `content` sealed; it opens only for the same purpose."""
        return _SUITE.encrypt(content, self._key, info=purpose)


class Opener:
    """Opens what was sealed for this receiver."""

    def __init__(self, private_key_file: Path) -> None:
        """Raises MailKeyError for a file without such a key."""
        key = _loaded(lambda pem: load_pem_private_key(pem, password=None), private_key_file)
        if not isinstance(key, X25519PrivateKey):
            raise MailKeyError(f"{private_key_file} holds no X25519 private key")
        self._key = key

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """Return what was sealed; TamperedError when it was sealed for somebody or something else."""
        try:
            return _SUITE.decrypt(sealed, self._key, info=purpose)
        except (InvalidTag, ValueError):
            raise TamperedError("this was not sealed for us, or not for this purpose") from None


def new_key_pem() -> str:
    """Return a fresh private key in PEM."""
    return X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem_of(private_pem: str) -> str:
    """Return the public half of a private key in PEM; ValueError for none."""
    key = load_pem_private_key(private_pem.encode(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _loaded(load: object, path: Path) -> object:
    try:
        return load(path.read_bytes())  # type: ignore[operator]  # one of the two loaders above
    except (ValueError, TypeError) as error:
        raise MailKeyError(f"{path}: {error}") from None

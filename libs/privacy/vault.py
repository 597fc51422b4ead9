"""What one service keeps for itself: sealed with AES-256-GCM, and found again by a keyed hash.

A key file has a line `<key id> <base64 of 32 bytes>` for each key. The first seals; all open, so that a key is replaced
by putting a new one above it. Hashes go by the last one, which therefore stays.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[a-z0-9]{1,8}")


class VaultKeyError(ValueError):
    """The key file is not what it must be, or lacks the key that something was sealed with."""


class TamperedError(ValueError):
    """What was to be opened is not what was sealed, or belongs elsewhere."""


def new_key_line(key_id: str) -> str:
    """Return a line of a key file with a fresh key."""
    return f"{key_id} {base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


class Vault:
    """Seals, opens and hashes with the keys of one file."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys` by their ids, the newest first. Raises VaultKeyError."""
        if not keys or any(len(key) != KEY_BYTES or not _KEY_ID.fullmatch(name) for name, key in keys.items()):
            raise VaultKeyError(f"a key has an id of up to 8 small letters and digits, and {KEY_BYTES} bytes")
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.items()}
        self._newest = next(iter(self._ciphers))
        # Another key than the one that seals: one key has one use.
        self._hash_key = HKDF(SHA256(), KEY_BYTES, None, b"lastmile lookup hash").derive([*keys.values()][-1])

    @classmethod
    def read(cls, path: Path) -> "Vault":
        """Read a key file. Raises VaultKeyError, which names the file and never what is in it."""
        keys: dict[str, bytes] = {}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            try:
                keys[name] = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise VaultKeyError(f"{path}: line {number} is not '<key id> <base64>'") from None
        try:
            return cls(keys)
        except VaultKeyError as error:
            raise VaultKeyError(f"{path}: {error}") from None

    def seal(self, text: str, place: bytes) -> bytes:
        """Return `text` sealed. It opens only with the same `place`, such as its column and row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, text.encode(), place)
        return b".".join((self._newest, nonce + sealed))

    def open(self, sealed: bytes, place: bytes) -> str:
        """Return what was sealed. Raises TamperedError, and VaultKeyError for a key that the file no longer has."""
        name, _, rest = sealed.partition(b".")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise VaultKeyError(f"sealed with key {name[:8]!r}, which the key file does not have")
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], place).decode()
        except (InvalidTag, ValueError):
            raise TamperedError("this is not what was sealed for this place") from None

    def hash(self, text: str, place: bytes) -> bytes:
        """Return the same 32 bytes for the same text and place, which nobody else can compute."""
        return hmac.digest(self._hash_key, place + b"\0" + text.encode(), "sha256")

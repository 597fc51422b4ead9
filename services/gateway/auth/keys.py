"""API keys: how they look, and what is kept of them."""

import hashlib
import re
import secrets

_SECRET_BYTES = 32
KEY = re.compile(r"^lm_[A-Za-z0-9_-]{20,150}$")


def make() -> str:
    """Return a new API key of 256 random bits."""
    return f"lm_{secrets.token_urlsafe(_SECRET_BYTES)}"


def hashed(key: str) -> bytes:
    """Return what is stored of a key.

    One round of SHA-256 is enough: a slow hash protects what people can remember and others can guess, and nobody
    guesses 256 random bits. A lookup by the hash leaks no timing about the key.
    """
    return hashlib.sha256(key.encode()).digest()

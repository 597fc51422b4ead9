"""Generated passwords and keys: made once, kept in LASTMILE_HOME/secrets, readable by the owner only."""

import os
import secrets
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from libs.embedded.errors import LayoutError
from libs.privacy.sealed_mail import new_key_pem, public_pem_of
from libs.privacy.vault import new_key_line

OWNER_ROLE = "lastmile"
REPLICATION_ROLE = "lastmile_replication"
# Reads the log: it may replicate, of its own database only.
RELAY_ROLE = "relay"
SERVICE_ROLES = (
    "assignment_api",
    "assignment_query",
    "assignment_fallback",
    "assignment_matcher",
    "gateway",
    "gateway_query",
    "gateway_fallback",
    "notification_api",
    "notification_query",
    "notification_fallback",
    "notification_worker",
    "reconciliation_api",
    "reconciliation_query",
    "reconciliation_fallback",
    "reconciliation_consumer",
    "reconciliation_worker",
    RELAY_ROLE,
)
REDIS = "redis"


@dataclass(frozen=True)
class SecretStore:
    """The secrets of one LASTMILE_HOME. Passwords hold only letters, digits, `-` and `_`."""

    directory: Path

    def password(self, name: str) -> str:
        """The password of a database role or of Valkey; made up at the first call."""
        return _read_or_create(self.directory / f"{name}_password", secrets.token_urlsafe(24))

    @property
    def ops_api_key_file(self) -> Path:
        """The first ops API key, from which all others can be made."""
        return self.directory / "ops_api_key"

    @property
    def network_secret_file(self) -> Path:
        """What the demo's partner network signs its webhooks with."""
        return self.directory / "sandbox_network_secret"

    @property
    def token_private_key_file(self) -> Path:
        """The Ed25519 key that signs access tokens (PEM); for the gateway alone."""
        return self.directory / "token_private.pem"

    @property
    def token_public_key_file(self) -> Path:
        """The Ed25519 key that verifies access tokens (PEM)."""
        return self.directory / "token_public.pem"

    @property
    def contact_private_key_file(self) -> Path:
        """The X25519 key that opens customers' contacts (PEM); for the notification service alone."""
        return self.directory / "contact_private.pem"

    @property
    def contact_public_key_file(self) -> Path:
        """The X25519 key that customers' contacts are sealed with (PEM)."""
        return self.directory / "contact_public.pem"

    @property
    def notification_vault_file(self) -> Path:
        """The keys that the notification service keeps personal data with; without them it is lost."""
        return self.directory / "notification_vault"

    def create_missing(self) -> None:
        """Make every secret that does not exist yet; narrow the mode of those that do.

        Raises LayoutError when the private key cannot be read as one.
        """
        for name in (OWNER_ROLE, REPLICATION_ROLE, *SERVICE_ROLES, REDIS):
            self.password(name)
        _read_or_create(self.ops_api_key_file, f"lm_{secrets.token_urlsafe(32)}")
        _read_or_create(self.notification_vault_file, new_key_line("k1"))
        contact_pem = _read_or_create(self.contact_private_key_file, new_key_pem())
        try:
            _write(self.contact_public_key_file, public_pem_of(contact_pem))
        except ValueError as error:
            raise LayoutError(f"{self.contact_private_key_file} is not a private key: {error}; remove it") from error
        _read_or_create(self.network_secret_file, f"whsec_{b64encode(secrets.token_bytes(24)).decode()}")
        private_pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        kept_pem = _read_or_create(self.token_private_key_file, private_pem.decode())
        try:
            key = load_pem_private_key(kept_pem.encode(), password=None)
        except ValueError as error:
            raise LayoutError(f"{self.token_private_key_file} is not a private key: {error}; remove it") from error
        public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        # Derived each time, so that it always belongs to the private one.
        _write(self.token_public_key_file, public_pem.decode())

    def exposed(self) -> list[Path]:
        """The secrets that somebody else than the owner may read or change."""
        return [path for path in sorted(self.directory.glob("*")) if path.stat().st_mode & 0o077]


def _read_or_create(path: Path, fresh: str) -> str:
    try:
        kept = path.read_text().strip()
    except FileNotFoundError:
        _write(path, fresh)
        return fresh.strip()
    except OSError as error:
        raise LayoutError(f"{path}: {error.strerror}") from error
    if not kept:
        raise LayoutError(f"{path} is empty: restore it, or start again with another LASTMILE_HOME")
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return kept


def _write(path: Path, text: str) -> None:
    # Whole or not at all, also when the machine loses power half-way.
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text if text.endswith("\n") else text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

"""E-mail over SMTP (RFC 5321): any relay that a company has."""

from email.message import EmailMessage
from email.utils import formatdate
from typing import ClassVar

import aiosmtplib
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.verdict import Verdict
from services.notification.providers.base import ProviderSettings
from services.notification.providers.outgoing import (
    REJECTED,
    Accepted,
    Callback,
    Outgoing,
    Receipt,
    RejectedError,
    Sought,
)

# RFC 5321, 4.2: 4yz is transient, 5yz permanent; these say that there is no such mailbox.
_PERMANENT, _NO_MAILBOX = 500, frozenset({550, 551, 553})
_NOT_SENT = Verdict(counts=True, retryable=True, outcome=Outcome.CERTAINLY_NOT)
_UNKNOWN = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)


class SmtpSettings(ProviderSettings):
    """Where the relay is."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_SMTP_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    host: str = Field(description="The relay's name")
    port: int = Field(587, ge=1, le=65535, description="The relay's port")
    start_tls: bool = Field(True, description="Encrypt the connection; off only for a relay on the same machine")
    username: str = Field("", description="Account at the relay; empty for none")
    password: SecretStr = Field(SecretStr(""), description="Its password")
    sender: str = Field(description="From whom e-mails are, such as Lastmile <news@example.com>")


class SmtpProvider:
    """Hands e-mails to a relay, a connection each: relays close those that idle, in the middle of a message too."""

    name: ClassVar[str] = "smtp"
    channels: ClassVar[frozenset[str]] = frozenset({"email"})
    drops_repeats: ClassVar[bool] = False
    can_look_up: ClassVar[bool] = False
    Settings = SmtpSettings

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Hand an e-mail over, whose Message-ID is the attempt's: bounces name it."""
        s, message = self._settings, EmailMessage()
        message["From"], message["To"], message["Subject"] = s.sender, outgoing.address, outgoing.words.subject
        message["Date"] = formatdate(usegmt=True)
        message_id = f"<{outgoing.attempt_id}@{s.sender.rpartition('@')[2].rstrip('>')}>"
        message["Message-ID"] = message_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(outgoing.words.body)
        client = aiosmtplib.SMTP(
            hostname=s.host, port=s.port, start_tls=s.start_tls, use_tls=False,
            username=s.username or None, password=s.password.get_secret_value() or None,
        )  # fmt: skip
        try:
            await _connected(client)
            await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _rejected(error.recipients[0]) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _rejected(error) from None
        finally:
            client.close()
        return Accepted(message_id)

    def classify(self, error: Exception) -> Verdict | None:
        """Say what an error means: until the relay has all of the message, it has none."""
        if isinstance(error, RejectedError):
            return REJECTED
        if isinstance(error, _NotTakenError):
            return _NOT_SENT
        if isinstance(error, aiosmtplib.SMTPException | OSError | AttemptTimeoutError):
            return _UNKNOWN
        return None

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Say nothing: a relay cannot be asked."""
        return None

    async def receipt_of(self, callback: Callback) -> Receipt | None:
        """Say nothing: a relay does not call back."""
        return None

    async def close(self) -> None:
        """Hold nothing."""


class _NotTakenError(Exception):
    """The relay was not reached, or has said that it did not take the message and may later."""


async def _connected(client: aiosmtplib.SMTP) -> None:
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _NotTakenError(f"{type(error).__name__}: {error}") from error


def _rejected(error: aiosmtplib.SMTPResponseException) -> Exception:
    if error.code < _PERMANENT:
        return _NotTakenError(f"{error.code}")
    suppress = "HARD_BOUNCE" if error.code in _NO_MAILBOX else ""
    return RejectedError(f"SMTP_{error.code}", "the relay refuses it", suppress)

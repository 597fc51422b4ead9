"""Text messages over Twilio's API, https://www.twilio.com/docs/messaging/api/message-resource.

Twilio knows no idempotency key. Each attempt names itself in its StatusCallback, so that a receipt finds it although
the answer with the message's SID was lost; and it is sought among the messages to its number with its very words.
"""

import base64
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode
from uuid import UUID

from aiohttp import encode_basic_auth
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from yarl import URL

from libs.ids import made_at
from libs.privacy.addresses import AddressError, phone_of
from libs.resilience.verdict import Verdict
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.http_clients import Answer, HttpClient, HttpProviderSettings, http_verdict
from services.notification.providers.outgoing import (
    REJECTED,
    Accepted,
    AddressNews,
    Callback,
    Outgoing,
    Receipt,
    ReceiptError,
    RejectedError,
    Sought,
)

_STATES = {
    "delivered": MessageState.DELIVERED, "read": MessageState.DELIVERED, "sent": MessageState.SENT,
    "undelivered": MessageState.FAILED, "failed": MessageState.FAILED, "canceled": MessageState.FAILED,
}  # fmt: skip
# Accepted and not yet on its way: a message that was taken, when somebody asks about it.
_TAKEN = frozenset({"accepted", "scheduled", "queued", "sending"})
# https://www.twilio.com/docs/api/errors: no such number, no mobile number, unreachable for ever; and who sent STOP.
_INVALID, _STOPPED = frozenset({"21211", "21614", "30005", "30006"}), frozenset({"21610"})
_STOP, _START = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}), frozenset({"START", "UNSTOP"})
_BAD_REQUEST, _TOO_MANY = 400, 429
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class TwilioSettings(HttpProviderSettings):
    """The account, and where Twilio calls back."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_TWILIO_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    base_url: str = Field("https://api.twilio.com", description="The API's address")
    account_sid: str = Field(min_length=1, description="The account, such as AC...")
    auth_token: SecretStr = Field(description="The account's secret, which also signs callbacks")
    sender: str = Field(min_length=1, description="The number, or the messaging service (MG...), that texts come from")
    callback_url: str = Field("", description="Public address of /receipts/twilio; empty to get no receipts")
    receipt_age_s_max: int = Field(
        7 * 86_400, gt=0, description="A receipt of an attempt that is older than this is refused as stale"
    )


class TwilioProvider:
    """Hands text messages to Twilio."""

    name: ClassVar[str] = "twilio"
    channels: ClassVar[frozenset[str]] = frozenset({"sms"})
    drops_repeats: ClassVar[bool] = False
    can_look_up: ClassVar[bool] = True
    Settings = TwilioSettings

    def __init__(self, settings: TwilioSettings) -> None:
        self._settings = settings
        token = settings.auth_token.get_secret_value()
        self._client = HttpClient(settings, {"Authorization": encode_basic_auth(settings.account_sid, token)})
        self._messages = f"{settings.base_url}/2010-04-01/Accounts/{settings.account_sid}/Messages"
        self._messages_url = URL(f"{self._messages}.json")

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Hand a text message over."""
        by_service = self._settings.sender.startswith("MG")
        form = {
            "To": outgoing.address,
            "Body": outgoing.words.body,
            "MessagingServiceSid" if by_service else "From": self._settings.sender,
        }
        if self._settings.callback_url:
            form["StatusCallback"] = f"{self._settings.callback_url}?attempt={outgoing.attempt_id}"
        # aiohttp's own forms cost as much as all else that it does with a request.
        body = urlencode(form).encode()
        answer = await self._client.ask("POST", self._messages_url, data=body, headers=_FORM)
        if _BAD_REQUEST <= answer.status < 500 and answer.status not in {408, _TOO_MANY}:
            raise _rejected(answer)
        return Accepted(_sid_of(answer.checked()))

    def classify(self, error: Exception) -> Verdict | None:
        """Say what an error means: a text message that may have been taken is never asked for again."""
        return REJECTED if isinstance(error, RejectedError) else http_verdict(error)

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Seek an attempt by its SID, or among the messages to its number since it began, by its words."""
        attempt_id = sought.outgoing.attempt_id
        if sought.provider_message_id:
            answer = await self._client.ask("GET", f"{self._messages}/{sought.provider_message_id}.json")
            return _found(answer.checked().json(), attempt_id)
        day = f"{datetime.fromtimestamp(sought.started_at_s, UTC):%Y-%m-%d}"
        wanted = {"To": sought.outgoing.address, "DateSent>": day, "PageSize": 100}
        answer = await self._client.ask("GET", self._messages_url, params=wanted)
        same = [m for m in answer.checked().json()["messages"] if _is_same(m, sought)]
        # Two that are alike could be those of two attempts: then only a receipt tells.
        return _found(same[0], attempt_id) if len(same) == 1 else None

    async def receipt_of(self, callback: Callback) -> Receipt | AddressNews | None:
        """Return what a signed callback says: a status, or the answer of somebody who got a message."""
        form, signed = self._verified(callback)
        if "MessageStatus" not in form:
            return _answer_of(form, signed)
        state = _STATES.get(form["MessageStatus"])
        named = parse_qs(callback.query).get("attempt", [""])[0]
        try:
            attempt_id = UUID(named)
        except ValueError:
            raise ReceiptError("unreadable") from None
        age_s = datetime.now(UTC).timestamp() - made_at(attempt_id).timestamp()
        if age_s > self._settings.receipt_age_s_max:
            raise ReceiptError("stale")
        if state is None:
            return None
        code = form.get("ErrorCode", "")
        reason = f"TWILIO_{code}" if code and state is MessageState.FAILED else ""
        return Receipt(state, attempt_id, form.get("MessageSid", ""), reason, _suppress(code), signed)

    def _verified(self, callback: Callback) -> tuple[dict[str, str], str]:
        """Return a callback's form and its signature.

        https://www.twilio.com/docs/usage/security: HMAC-SHA1 of the URL and all fields, in no order of the body's.
        """
        try:
            pairs = parse_qsl(
                callback.body.decode(), keep_blank_values=True, strict_parsing=bool(callback.body), max_num_fields=200
            )
        except ValueError:
            raise ReceiptError("unreadable") from None
        url = self._settings.callback_url + (f"?{callback.query}" if callback.query else "")
        text = url + "".join(f"{name}{value}" for name, value in sorted(pairs))
        token = self._settings.auth_token.get_secret_value()
        signed = base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()
        if not hmac.compare_digest(signed, callback.headers.get("x-twilio-signature", "")):
            raise ReceiptError("forged")
        return dict(pairs), signed

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()


def _rejected(answer: Answer) -> RejectedError:
    try:
        code = str(answer.json().get("code", answer.status))
    except (ValueError, AttributeError):
        code = str(answer.status)
    return RejectedError(f"TWILIO_{code}", "Twilio refuses it", _suppress(code))


def _sid_of(answer: Answer) -> str:
    """Return the SID of an answer that says yes; nonsense is a yes too, whose receipt names the attempt."""
    try:
        return str(answer.json()["sid"])
    except (ValueError, KeyError, TypeError):
        return ""


def _suppress(code: str) -> str:
    return "INVALID" if code in _INVALID else "STOP" if code in _STOPPED else ""


def _found(message: Mapping[str, Any], attempt_id: UUID) -> Receipt | None:
    status, code = str(message["status"]), str(message.get("error_code") or "")
    state = MessageState.SENT if status in _TAKEN else _STATES.get(status)
    if state is None:
        return None
    reason = f"TWILIO_{code}" if code and state is MessageState.FAILED else ""
    return Receipt(state, attempt_id, str(message["sid"]), reason, _suppress(code))


def _is_same(message: Mapping[str, Any], sought: Sought) -> bool:
    # Dates have whole seconds.
    made_at_s = parsedate_to_datetime(message["date_created"]).timestamp() + 1
    return bool(message["body"] == sought.outgoing.words.body and made_at_s >= sought.started_at_s)


def _answer_of(form: Mapping[str, str], signed: str) -> AddressNews | None:
    said = (form.get("OptOutType") or form.get("Body", "")).strip().upper()
    try:
        address = phone_of(form.get("From", ""))
    except AddressError:
        return None
    if said in _STOP:
        return AddressNews("sms", address, "STOP", signed)
    return AddressNews("sms", address, "", signed) if said in _START else None

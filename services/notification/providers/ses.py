"""E-mail over Amazon SES, https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html.

SES knows no idempotency key, and cannot be asked for a message whose id is not known. Each attempt names itself in a
tag, which is in every event that SES publishes of it: a receipt finds it although the answer was lost. Credentials are
found as AWS's own tools find them: a role of the machine or the pod, or AWS_... variables.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, ClassVar
from uuid import UUID

import aiohttp
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.verdict import Verdict
from services.notification.messages.lifecycle import MessageState
from services.notification.providers import http_clients
from services.notification.providers.http_clients import HttpClient, HttpProviderSettings
from services.notification.providers.outgoing import (
    REJECTED,
    Accepted,
    Callback,
    Outgoing,
    Receipt,
    ReceiptError,
    RejectedError,
    Sought,
)
from services.notification.receipts.sns import CONFIRMATION, NOTIFICATION, SnsPosts

_TAG = "attempt"
_TOO_MANY, _SERVER_ERROR = 429, 500
# What is wrong with one message, and stays so.
_OF_THE_MESSAGE = frozenset({"MessageRejected", "BadRequestException"})
_TOO_FAST = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"})
_NO_CREDENTIALS = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.TokenRetrievalError,
)  # fmt: skip
_NOT_SENT = Verdict(counts=True, retryable=True, outcome=Outcome.CERTAINLY_NOT)
# The account is to blame: another provider may carry it, the same one will not.
_NOT_BY_THIS_ACCOUNT = Verdict(counts=True, retryable=False, outcome=Outcome.CERTAINLY_NOT)
_SLOW_DOWN = Verdict(counts=False, retryable=True, outcome=Outcome.CERTAINLY_NOT)
_UNKNOWN = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)
# https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
_STATES = {"Send": MessageState.SENT, "Delivery": MessageState.DELIVERED, "Reject": MessageState.FAILED}
# SES knew of an earlier complaint, and has not sent it.
_NOT_EVEN_SENT = "OnAccountSuppressionList"


class SesSettings(HttpProviderSettings):
    """The account's region, who sends, and which topic tells of it."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_NOTIFICATION_SES_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    region: str = Field(min_length=1, description="The region that sends, such as ap-south-1")
    sender: str = Field(min_length=1, description="From whom e-mails are, such as Lastmile <news@example.com>")
    configuration_set: str = Field("", description="The configuration set that publishes events to the topic")
    topic_arn: str = Field(
        "", description="The SNS topic that posts its events to /receipts/ses; empty to take no receipts"
    )
    receipt_age_s_max: float = Field(86_400, gt=0, description="A post that is older is refused as stale")
    endpoint_url: str = Field("", description="Address of a stand-in for SES; empty for AWS")
    sns_url: str = Field("", description="Address of a stand-in for SNS; empty for AWS, and for nobody else")


class SesProvider:
    """Hands e-mails to SES."""

    name: ClassVar[str] = "ses"
    channels: ClassVar[frozenset[str]] = frozenset({"email"})
    drops_repeats: ClassVar[bool] = False
    can_look_up: ClassVar[bool] = False
    Settings = SesSettings

    def __init__(self, settings: SesSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings)
        self._posts = SnsPosts(self._fetch, settings.topic_arn, settings.receipt_age_s_max, settings.sns_url)
        self._held = AsyncExitStack()
        self._client: Any = None
        self._making = asyncio.Lock()

    async def send(self, outgoing: Outgoing) -> Accepted:
        """Hand an e-mail over."""
        client, words = await self._ready(), outgoing.words
        told: dict[str, Any] = {
            "FromEmailAddress": self._settings.sender,
            "Destination": {"ToAddresses": [outgoing.address]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": words.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": words.body, "Charset": "UTF-8"}},
                    "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
                }
            },
            "EmailTags": [{"Name": _TAG, "Value": str(outgoing.attempt_id)}],
        }
        if self._settings.configuration_set:
            told["ConfigurationSetName"] = self._settings.configuration_set
        try:
            answer = await client.send_email(**told)
        except aws.ClientError as error:
            if _code_of(error) in _OF_THE_MESSAGE:
                raise RejectedError(f"SES_{_code_of(error)}", "SES refuses it") from None
            raise
        # Without an id it is taken all the same: its receipt names the attempt.
        return Accepted(str(answer.get("MessageId", "")))

    def classify(self, error: Exception) -> Verdict | None:
        """Say what an error means: an e-mail that may have been taken is never asked for again."""
        if isinstance(error, RejectedError):
            return REJECTED
        if isinstance(error, aws.ClientError):
            return _refusal(error)
        if isinstance(error, _NO_CREDENTIALS):
            return _NOT_SENT
        if isinstance(error, aws.BotoCoreError):
            # Its kinds do not tell a connection that was not made from one that broke: what aiohttp raised does.
            return _NOT_SENT if isinstance(error.kwargs.get("error"), http_clients.NOT_SENT) else _UNKNOWN
        return _UNKNOWN if isinstance(error, ResponseParserError | AttemptTimeoutError) else None

    async def look_up(self, sought: Sought) -> Receipt | None:
        """Say nothing: SES cannot be asked. Its events tell."""
        return None

    async def receipt_of(self, callback: Callback) -> Receipt | None:
        """Return what a signed post says; one that asks whether the topic may post here is answered with yes."""
        try:
            post = await self._posts.verified(callback.body)
            if post["Type"] == CONFIRMATION:
                if not self._posts.is_theirs(post["SubscribeURL"]):
                    raise ReceiptError("forged")
                await self._fetch(post["SubscribeURL"])
        except (aiohttp.ClientError, http_clients.StatusError, TimeoutError):
            # SNS posts again what was answered so.
            raise ReceiptError("unreachable") from None
        return _receipt(post["Message"], post["MessageId"]) if post["Type"] == NOTIFICATION else None

    async def close(self) -> None:
        """Close its connections."""
        await self._held.aclose()
        await self._http.close()

    async def _ready(self) -> Any:
        # Importing it takes longer than all else that starts: only who sends through SES shall wait for it.
        from aiobotocore.config import AioConfig  # noqa: PLC0415 - as above
        from aiobotocore.session import get_session  # noqa: PLC0415 - as above

        async with self._making:
            if self._client is None:
                s = self._settings
                config = AioConfig(
                    # What may be tried again, the dependency tries again.
                    retries={"total_max_attempts": 1},
                    connect_timeout=s.connect_ms / 1000,
                    read_timeout=s.limits.attempt_ms / 1000,
                    max_pool_connections=s.limits.at_once_max,
                )
                made = get_session().create_client(
                    "sesv2", region_name=s.region, endpoint_url=s.endpoint_url or None, config=config
                )
                self._client = await self._held.enter_async_context(made)
        return self._client

    async def _fetch(self, url: str) -> bytes:
        async with asyncio.timeout(self._settings.connect_ms / 1000):
            return (await self._http.ask("GET", url)).checked().body


def _code_of(error: aws.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: aws.ClientError) -> Verdict:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR))
    if status >= _SERVER_ERROR:
        return _UNKNOWN
    is_too_fast = status == _TOO_MANY or _code_of(error) in _TOO_FAST
    return _SLOW_DOWN if is_too_fast else _NOT_BY_THIS_ACCOUNT


def _receipt(text: str, post_id: str) -> Receipt | None:
    """Return what an event says; None where it says nothing of interest."""
    try:
        event = json.loads(text)
        # Without a configuration set, notifications of an identity have another name for it, and no tags.
        kind = event.get("eventType") or event["notificationType"]
        mail = event["mail"]
        message_id = str(mail["messageId"])
        named = mail.get("tags", {}).get(_TAG, [])
        attempt_id = UUID(named[0]) if named else None
        state, reason, suppress = _meaning(kind, event)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ReceiptError("unreadable") from None
    return None if state is None else Receipt(state, attempt_id, message_id, reason, suppress, post_id)


def _meaning(kind: str, event: Mapping[str, Any]) -> tuple[MessageState | None, str, str]:
    """Return what became of an e-mail, why it has failed, and why its address takes no more."""
    if kind == "Bounce":
        bounce = event["bounce"]
        reason = f"SES_BOUNCE_{bounce['bounceType']}_{bounce['bounceSubType']}".upper()
        return MessageState.FAILED, reason, "HARD_BOUNCE" if bounce["bounceType"] == "Permanent" else ""
    if kind == "Complaint":
        if event["complaint"].get("complaintSubType") == _NOT_EVEN_SENT:
            return MessageState.FAILED, "SES_COMPLAINT", "COMPLAINT"
        return MessageState.DELIVERED, "", "COMPLAINT"
    return _STATES.get(kind), "SES_REJECTED" if kind == "Reject" else "", ""

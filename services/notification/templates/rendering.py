"""Words from templates: rendered, bounded, and tried with made-up values before they are stored."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from pydantic import BaseModel, ConfigDict, Field

from services.notification.planning.rules import RULES
from services.notification.templates.language import DIGEST, ITEM_VARIABLES, Compiled, TemplateTextError, compiled

Values = Mapping[str, object]
# 3GPP TS 23.038: the characters that a text message of 160 may hold, and those that count twice.
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = set("\f^{}\\[~]|€")
_SPACES = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class RenderLimits(BaseModel):
    """How much a template may hold, and a message say."""

    model_config = ConfigDict(frozen=True)

    template_chars_max: int = Field(20_000, ge=1, description="Longest text of a template")
    subject_chars_max: int = Field(200, ge=1, description="Longest subject of an e-mail")
    sms_chars_max: int = Field(1_000, ge=1, le=1_600, description="Longest text message; it is billed by its segments")
    email_chars_max: int = Field(100_000, ge=1, description="Longest e-mail")
    digest_items_max: int = Field(50, ge=1, description="Messages that a digest lists; it says how many more there are")


@dataclass(frozen=True, slots=True)
class Words:
    """What a message says. A text message has no subject."""

    subject: str
    body: str


_SAMPLE: Values = {
    "recipient_name": "Asha Rao",
    "merchant_name": "Chai & Co",
    "city_name": "Bengaluru",
    "reference": "ORDER-1042",
    "reason": "CUSTOMER_UNREACHABLE",
    "drop_date": "25 Nov",
    "drop_from": "16:00",
    "drop_until": "18:00",
    "time": "15:42",
}
# What a message may lack: a customer without a name, a city that nobody has told of, a delivery without a reference.
_SOMETIMES = ("recipient_name", "city_name", "reference", "reason")
_DIGESTED = sorted({rule.status for rule in RULES if rule.digestible})


def checked(status: str, channel: str, subject: str, body: str, limits: RenderLimits) -> Words:
    """Return what the texts say with made-up values.

    Raises TemplateTextError for texts that are too long, are no templates, or say nothing where something is lacking
    that may be.
    """
    for part, text in (("subject", subject), ("body", body)):
        if len(text) > limits.template_chars_max:
            raise TemplateTextError(f"{part}: has {len(text)} characters, more than {limits.template_chars_max}")
    if channel == "sms" and subject:
        raise TemplateTextError("subject: a text message has none")
    if channel == "email" and not subject.strip():
        raise TemplateTextError("subject: an e-mail needs one")
    texts = compiled(subject, body, digest=status == DIGEST)
    words = [render(texts, channel, sample, limits) for sample in _samples(status)]
    return words[0]


def render(texts: Compiled, channel: str, values: Values, limits: RenderLimits) -> Words:
    """Return a message's words. Raises TemplateTextError where they come out empty, too long, or not at all."""
    try:
        # A text message has none. A line break in a subject would be a header of its own.
        subject = "" if channel == "sms" else _SPACES.sub(" ", texts.subject.render(values)).strip()
        body = texts.body.render(values).strip()
    except Exception as error:
        raise TemplateTextError(f"body: does not render: {error}") from error
    longest = limits.sms_chars_max if channel == "sms" else limits.email_chars_max
    if not body or (channel == "email" and not subject):
        raise TemplateTextError(f"{'subject' if body else 'body'}: renders to nothing")
    if len(body) > longest or len(subject) > limits.subject_chars_max:
        raise TemplateTextError(f"body: renders to {len(body)} characters, more than {longest}, or too long a subject")
    return Words(_CONTROL.sub("", subject), _CONTROL.sub("", body))


def sms_segments(body: str) -> int:
    """Return as how many text messages a body is billed, by 3GPP TS 23.038 and 23.040."""
    if all(character in _GSM or character in _GSM_TWICE for character in body):
        units = sum(2 if character in _GSM_TWICE else 1 for character in body)
        return 1 if units <= 160 else math.ceil(units / 153)
    units = len(body.encode("utf-16-be")) // 2
    return 1 if units <= 70 else math.ceil(units / 67)


def _samples(status: str) -> Iterator[Values]:
    """Made-up values of a message: first with everything, then lacking each choice of what it may lack."""
    for count in range(len(_SOMETIMES) + 1):
        for lacked in combinations(_SOMETIMES, count):
            known = {**_SAMPLE, "status": status, **dict.fromkeys(lacked, "")}
            if status != DIGEST:
                yield known
                continue
            items = [{**{name: known[name] for name in ITEM_VARIABLES}, "status": told} for told in _DIGESTED]
            yield {"recipient_name": known["recipient_name"], "count": len(items), "more": 0, "items": items}

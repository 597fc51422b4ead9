"""The words that Lastmile brings along: used where neither the merchant nor the company has its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.notification.planning.rules import (
    ALERT_OVER,
    ALERT_RAISED,
    CUSTOMER,
    EMAIL,
    MERCHANT,
    OPS,
    OUTAGE_BEGAN,
    OUTAGE_OVER,
    PARTNER,
    SMS,
    TAKEN_BACK,
    WEBHOOK_DISABLED,
)
from services.notification.templates.language import DIGEST

FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Use:
    """When a template is used."""

    status: str
    audience: str
    channel: str
    language: str


_HELLO = "Hello{% if recipient_name %} {{ recipient_name }}{% endif %},\n\n"
_PARCEL = "parcel{% if reference %} {{ reference }}{% endif %} from {{ merchant_name }}"
_PARCEL_HI = "{{ merchant_name }} का पार्सल{% if reference %} {{ reference }}{% endif %}"
_WHY = "{% if reason %} ({{ reason | words }}){% endif %}"
_DUE = "{{ drop_date }} between {{ drop_from }} and {{ drop_until }}"
_LIST = (
    "{% for item in items %}\n- {{ item.time }} {{ item.reference or 'without a reference' }}: "
    "{{ item.status | words }}"
    "{% if item.reason %} ({{ item.reason | words }}){% endif +%}\n{% endfor %}"
    "{% if more %}and {{ more }} more\n{% endif %}"
)


def _email(subject: str, body: str) -> tuple[str, str]:
    return subject, f"{_HELLO}{body}\n\nLastmile"


_CUSTOMER_EN = {
    ("created", EMAIL): _email(f"Your {_PARCEL} is on its way", f"your {_PARCEL} is planned for {_DUE}."),
    ("out_for_delivery", SMS): ("", f"Your {_PARCEL} arrives today. Expect it until {{{{ drop_until }}}}."),
    ("out_for_delivery", EMAIL): _email(
        f"Your {_PARCEL} arrives today", f"your {_PARCEL} is out for delivery. Expect it until {{{{ drop_until }}}}."
    ),
    ("delivered", SMS): ("", f"Your {_PARCEL} was delivered at {{{{ time }}}}."),
    ("delivered", EMAIL): _email(f"Your {_PARCEL} was delivered", f"your {_PARCEL} was delivered at {{{{ time }}}}."),
    ("attempt_failed", SMS): ("", f"We could not deliver your {_PARCEL}{_WHY}. We will try again."),
    ("attempt_failed", EMAIL): _email(
        f"We could not deliver your {_PARCEL}", f"we could not deliver your {_PARCEL}{_WHY}. We will try again."
    ),
    ("cancelled", SMS): ("", f"The delivery of your {_PARCEL} was cancelled."),
    ("cancelled", EMAIL): _email(
        f"The delivery of your {_PARCEL} was cancelled", f"the delivery of your {_PARCEL} was cancelled."
    ),
}
_CUSTOMER_HI = {
    ("out_for_delivery", SMS): ("", f"{_PARCEL_HI} आज {{{{ drop_until }}}} बजे तक पहुँचेगा।"),
    ("delivered", SMS): ("", f"{_PARCEL_HI} {{{{ time }}}} बजे पहुँचा दिया गया।"),
    ("attempt_failed", SMS): ("", f"{_PARCEL_HI} पहुँचाया नहीं जा सका। हम फिर कोशिश करेंगे।"),
    ("cancelled", SMS): ("", f"{_PARCEL_HI} की डिलीवरी रद्द कर दी गई।"),
}
_NAMED = "{{ reference or 'A parcel' }}"
_MERCHANT_EN = {
    ("attempt_failed", EMAIL): _email(
        f"{_NAMED}: the delivery failed", f"{_NAMED} could not be delivered at {{{{ time }}}}{_WHY}."
    ),
    ("returned", EMAIL): _email(f"{_NAMED} came back", f"{_NAMED} was returned at {{{{ time }}}}."),
    (WEBHOOK_DISABLED, EMAIL): _email(
        "Your webhook is disabled",
        "your webhook is disabled since {{ time }}: its receiver "
        "{% if reason == 'GONE' %}said that it wants no more{% else %}failed to take too many messages{% endif %}. "
        "Set it again to enable it, and resend what it has missed.",
    ),
    (DIGEST, EMAIL): _email("News of {{ count }} deliveries", _LIST),
    # Their words come whole: of an outage there is more to say than a template could choose from.
    (OUTAGE_BEGAN, EMAIL): _email("{{ reference or 'An outage has begun' }}", "{{ reason }}"),
    (OUTAGE_OVER, EMAIL): _email("{{ reference or 'An outage is over' }}", "{{ reason }}"),
}
_PARTNER_EN = {
    ("offered", SMS): ("", "New delivery for {{ merchant_name }}, due until {{ drop_until }}. Answer in the app."),
    ("cancelled", SMS): ("", f"The delivery {_NAMED} of {{{{ merchant_name }}}} was cancelled. Do not pick it up."),
    (TAKEN_BACK, SMS): ("", f"Your hand-over of {_NAMED} is taken back{_WHY}, and so is what it earned."),
}
_OPS_EN = {
    ("returned", EMAIL): _email(
        f"{_NAMED} of {{{{ merchant_name }}}} came back",
        f"{_NAMED} of {{{{ merchant_name }}}} was returned at {{{{ time }}}}.",
    ),
    (DIGEST, EMAIL): _email("News of {{ count }} deliveries", _LIST),
    (ALERT_RAISED, EMAIL): ("ALERT: {{ reference or 'outage' }}", "{{ reason or 'An outage has begun.' }}"),
    (ALERT_OVER, EMAIL): ("Over: {{ reference or 'outage' }}", "{{ reason or 'It is over.' }}"),
}
BUILTIN: Mapping[Use, tuple[str, str]] = {
    Use(status, audience, channel, language): texts
    for audience, language, found in (
        (CUSTOMER, "en", _CUSTOMER_EN),
        (CUSTOMER, "hi", _CUSTOMER_HI),
        (MERCHANT, "en", _MERCHANT_EN),
        (PARTNER, "en", _PARTNER_EN),
        (OPS, "en", _OPS_EN),
    )
    for (status, channel), texts in found.items()
}

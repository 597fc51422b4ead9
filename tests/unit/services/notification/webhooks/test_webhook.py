"""Where a webhook may lead."""

import pytest

from services.notification.webhooks.webhook import WebhookUrlError, checked_url


def test_a_url_is_https_and_stays_as_it_is() -> None:
    url = "https://example.com:8443/hooks/1?key=2"
    assert checked_url(url, private_receivers=False) == url
    assert checked_url("http://127.0.0.1:1/", private_receivers=True) == "http://127.0.0.1:1/"


NO_WEBHOOKS = [
    "http://example.com/", "ftp://example.com/", "https://", "https:///path", "https://user:word@example.com/",
    "https://example.com/#part", "https://example.com:0/", "https://example.com:99999/", "https://[::1", "example.com",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_WEBHOOKS)
def test_what_a_webhook_may_not_lead_to_is_refused(text: str) -> None:
    with pytest.raises(WebhookUrlError):
        checked_url(text, private_receivers=False)

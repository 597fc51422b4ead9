"""What an answer over HTTP that is not a success means, whatever client got it.

What a status means is RFC 9110, Retry-After among it; 429 is RFC 6585.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from libs.resilience.errors import Outcome
from libs.resilience.verdict import Verdict

_TOO_MANY_REQUESTS, _REQUEST_TIMEOUT, _NOT_IMPLEMENTED = 429, 408, 501
# A longer wait than this is as good as none: whoever calls has its own plan by then.
_RETRY_AFTER_MS_MAX = 24 * 3_600_000


def status_verdict(status: int, headers: Mapping[str, str], *, is_idempotent: bool) -> Verdict:
    """Return what a status that is not a success means."""
    told_ms = retry_after_ms(headers)
    if status == _TOO_MANY_REQUESTS:
        # It works, and says what it takes: that is no outage.
        return Verdict(counts=False, retryable=True, outcome=Outcome.CERTAINLY_NOT, retry_after_ms=told_ms)
    if status >= 500 or status == _REQUEST_TIMEOUT:
        again = is_idempotent and status != _NOT_IMPLEMENTED
        return Verdict(counts=True, retryable=again, outcome=Outcome.UNKNOWN, retry_after_ms=told_ms)
    return Verdict(counts=False, retryable=False, outcome=Outcome.CERTAINLY_NOT)


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """Return what Retry-After says, in seconds or as a date; None for none, or for one that says nothing."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # No number of days can be this long; and int() takes long for long texts.
        return min(int(text[:9]) * 1000, _RETRY_AFTER_MS_MAX)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    left_ms = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds() * 1000
    return min(max(0, round(left_ms)), _RETRY_AFTER_MS_MAX)

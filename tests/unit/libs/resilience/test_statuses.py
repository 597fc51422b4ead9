from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from libs.resilience.statuses import retry_after_ms


@pytest.mark.parametrize(
    ("text", "ms"), [("7", 7_000), ("0", 0), ("9" * 5_000, 86_400_000), ("-1", None), ("soon", None), ("", None)]
)
def test_retry_after_in_seconds(text: str, ms: int | None) -> None:
    assert retry_after_ms({"retry-after": text}) == ms


def test_retry_after_as_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    told_ms = retry_after_ms({"retry-after": format_datetime(at, usegmt=True)})
    assert told_ms is not None
    assert 60_000 < told_ms <= 90_000
    past = retry_after_ms({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert past == 0

import httpx
import pytest

from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.http_verdicts import http_verdict
from libs.resilience.verdict import Verdict


def status_error(status: int, headers: dict[str, str] | None = None) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://peer.test/offers")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status, headers=headers, request=request))


@pytest.mark.parametrize(
    ("error", "counts", "retryable", "outcome"),
    [
        (httpx.ConnectError(""), True, True, Outcome.CERTAINLY_NOT),
        (httpx.ConnectTimeout(""), True, True, Outcome.CERTAINLY_NOT),
        (httpx.ReadTimeout(""), True, True, Outcome.UNKNOWN),
        (httpx.RemoteProtocolError(""), True, True, Outcome.UNKNOWN),
        (AttemptTimeoutError(100), True, True, Outcome.UNKNOWN),
        (status_error(500), True, True, Outcome.UNKNOWN),
        (status_error(503), True, True, Outcome.UNKNOWN),
        (status_error(501), True, False, Outcome.UNKNOWN),
        (status_error(429, {"Retry-After": "7"}), False, True, Outcome.CERTAINLY_NOT),
        (status_error(404), False, False, Outcome.CERTAINLY_NOT),
        (status_error(422), False, False, Outcome.CERTAINLY_NOT),
    ],
)
def test_what_an_error_means(error: Exception, counts: bool, retryable: bool, outcome: Outcome) -> None:
    verdict = http_verdict(error, is_idempotent=True)
    assert verdict is not None
    assert (verdict.counts, verdict.retryable, verdict.outcome) == (counts, retryable, outcome)


def test_what_may_have_happened_is_not_done_again_unless_that_is_harmless() -> None:
    for error in (httpx.ReadTimeout(""), status_error(502), AttemptTimeoutError(1)):
        assert http_verdict(error, is_idempotent=False) == Verdict(
            counts=True, retryable=False, outcome=Outcome.UNKNOWN
        )


def test_errors_of_our_own_are_nobodys_fault() -> None:
    assert http_verdict(KeyError("id"), is_idempotent=True) is None
